"""Plans what of a GGUF model fits into the memory: layers on a GPU, and sequences at a time."""

from collections.abc import Sequence
from pathlib import Path

from maya_batch.checkpoint.gguf_config import GgufConfig
from maya_batch.checkpoint.gguf_file import GgufFile
from maya_batch.engine.batch_budget import SequenceNeed
from maya_batch.engine.gguf_runner import LEAST_TOGETHER
from maya_batch.engine.host_memory import usable_memory
from maya_batch.engine.llama_model import MOST_SEQUENCES, POSITION_STRIDE, PROMPT_TOKENS, ContextSize
from maya_batch.errors import MachineError

#: The default batch sizes. On two CPU cores more than sixteen sequences gain little.
BATCH_SIZES = {"cpu": 16, "gpu": 64}

CODEC_BYTES = 340 * 2**20
"""What decoding a clip with Maya1's codec takes on a CPU: 328 to 360 MiB were measured for 60 to 260 frames."""

#: Sequences and positions whose cache must fit on the GPU next to its layers, when their number is chosen.
_LIKELY_SEQUENCES, _LIKELY_POSITIONS = 8, 2048

#: GPU memory for CUDA itself and its kernels.
_GPU_SLACK = 600 * 2**20

#: Memory for the vocabulary and the buffers that llama.cpp has besides the weights; without it, it ends the process.
_LOADING = 64 * 2**20


def position_bytes(config: GgufConfig, exact: bool) -> int:
    """Bytes of the keys and values of one position of one sequence, in all layers."""
    return 2 * config.layers * config.kv_heads * config.head_dim * (4 if exact else 2)


def context_bytes(config: GgufConfig, size: ContextSize) -> int:
    """The memory of a context: the cache, the logits, and the buffers of the largest pass.

    A pass holds the scores of attention, a few activations of a layer, and the logits.
    """
    tokens = max(PROMPT_TOKENS, size.sequences)
    attention = config.heads * size.positions * tokens
    activations = tokens * (4 * config.hidden + 3 * config.intermediate)
    logits = 2 * size.sequences * config.vocabulary
    cache = size.sequences * size.positions * position_bytes(config, size.exact)
    return cache + 4 * (attention + activations + logits)


def plan_context(
    config: GgufConfig, needs: Sequence[SequenceNeed], batch_size: int, available: int, exact: bool
) -> ContextSize:
    """The largest context for sequences of these needs, at most `batch_size` together, in so many bytes.

    Raises:
        MachineError: one sequence does not fit.
    """
    longest = -(-max(need.max_positions for need in needs) // POSITION_STRIDE) * POSITION_STRIDE
    wanted = min(batch_size, len(needs), MOST_SEQUENCES)
    for sequences in range(max(wanted, LEAST_TOGETHER), LEAST_TOGETHER - 1, -1):
        size = ContextSize(sequences, longest, exact)
        if context_bytes(config, size) <= available:
            return size
    raise MachineError(
        f"the memory is too small for one sequence of {longest} tokens ({available / 2**30:.1f} GiB are free); close "
        "other programs, use a smaller GGUF type, or a lower render.chunk_words"
    )


def check_model_fits(path: Path, config: GgufConfig) -> None:
    """Raise a MachineError if the machine's memory is too small for the weights."""
    needed, available = config.weight_bytes + _LOADING, usable_memory()
    if needed > available:
        raise MachineError(
            f"{path}: the memory is too small for the model, which needs {needed / 2**30:.1f} GiB "
            f"({available / 2**30:.1f} GiB are free); close other programs, or use a smaller GGUF type"
        )


def layers_on_gpu(file: GgufFile, config: GgufConfig, free: int) -> int:
    """How many of the last layers fit into `free` bytes of GPU memory; all and the output embedding: layers + 1."""
    likely = ContextSize(_LIKELY_SEQUENCES, _LIKELY_POSITIONS, exact=False)
    layer = max(
        sum(tensor.size for tensor in file.tensors if tensor.name.startswith(f"blk.{number}."))
        for number in range(config.layers)
    )
    cache = likely.sequences * likely.positions * position_bytes(config, exact=False) // config.layers
    sizes = {tensor.name: tensor.size for tensor in file.tensors}
    output = sizes.get("output.weight", sizes["token_embd.weight"])
    room = free - _GPU_SLACK - (context_bytes(config, likely) - cache * config.layers)
    if room >= output + config.layers * (layer + cache):
        return config.layers + 1
    return max(min(room // (layer + cache), config.layers), 0)
