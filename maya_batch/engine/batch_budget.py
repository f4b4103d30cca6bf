"""Plans how large a batch fits into memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from maya_batch.audio.decode_window import decode_bytes
from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.admission import BlockForecast
from maya_batch.engine.api import Request
from maya_batch.engine.paged_cache import BLOCK_SIZE

if TYPE_CHECKING:
    from maya_batch.engine.kernels.llama_layers import LlamaLayers

#: The default batch size on a CPU: on two cores, more than sixteen sequences gained little.
_CPU_BATCH_SIZE = 16

#: The default batch sizes on a GPU. From about 256 sequences on, a step takes a fixed time for the weights and a time
#: for each sequence. On an H200 with 8-bit keys and values these are 1.5 ms and 21.7 us, so 512 sequences reach 90 % of
#: the tokens a second of any number, and 768 would reach 93 %. Weights in nf4 are unpacked in 5.6 ms: 512 reach 67 %,
#: and 1,024 reach 80 %. So many need 47 GiB of keys and values; with less memory only their state would be paid for. Up
#: to 128 sequences a kernel unpacks them in registers (`int8_tokens.COUNTS`): in 12 GiB, at most 128 render 1.11 times
#: as fast as 156, the most that fit, and in 8 GiB 64 render 1.04 times as fast as 88.
_GPU_BATCH_SIZE = 512

#: Those for nf4, each below so many GiB of memory, and that for more memory.
_NF4_BATCH_SIZES, _MOST_NF4 = ((10, 64), (14, 128), (64, _GPU_BATCH_SIZE)), 1024

#: Prompt tokens that go through the model together on a GPU: enough to keep it busy, with little memory.
PROMPT_TOKENS = 2048

#: Batch sizes that a frame is computed for; each is captured as CUDA graphs. Multiples of 8 also keep a CPU's products
#: the same to the bit: for fewer sequences, some kernels sum in another order.
_GRAPH_BATCH_SIZES = (8, 16, 24, 32, 48, 64, 96, *range(128, 513, 32))

#: The distance of the batch sizes above those.
_FURTHER = 128

#: Plain attention covers a multiple of this many positions. The number depends on the longest sequence, and for other
#: numbers a CPU's products sum the last positions in another order.
_STRIDE = 16

#: Frames that a sequence may count beyond max_frames before the host sees that it has ended.
_UNSEEN_FRAMES = 4

#: Bytes that drawing takes for one column of one sequence in PyTorch: scores, probabilities, their order and sums, and
#: copies. The GPU kernel needs none of them, so with it they are spare.
_DRAW_BYTES_A_COLUMN = 48

#: Bytes for cuBLAS's workspaces, and for pieces too small for the allocator to use.
_SLACK = 160 * 2**20

#: Captured graphs are outside PyTorch's memory: about 20 MB were measured for a batch size. The passes of prompts have
#: a seventh as many kernels, and a dozen sizes.
_GRAPH_BYTES, _PROMPT_GRAPHS_BYTES = 20 * 2**20, 40 * 2**20

#: Room for sequences that become longer than expected, and for long ones that run together.
_MARGIN = 1.25

#: The share of the available memory that is left for other programs and for what the plan does not know.
_RESERVED_SHARE = 0.04


@dataclass(frozen=True)
class BatchBudget:
    """The size of a batch: at most `sequences`, each of at most `positions`, in `blocks` of `block_size` positions.

    With a `block_size` of 0, each sequence has one block of its full length.
    """

    sequences: int
    positions: int
    blocks: int
    block_size: int

    @property
    def room(self) -> int:
        """The positions that all blocks have."""
        return self.blocks * (self.block_size or self.positions)


def default_batch_size(device: torch.device, quantization: str) -> int:
    """The most sequences that are decoded together where the settings do not say."""
    if device.type == "cpu":
        return _CPU_BATCH_SIZE
    share = torch.cuda.get_per_process_memory_fraction(device)
    memory = share * torch.cuda.get_device_properties(device).total_memory
    if quantization != "nf4":
        return _GPU_BATCH_SIZE
    return next((size for most, size in _NF4_BATCH_SIZES if memory < most * 2**30), _MOST_NF4)


def graph_batch_size(sequences: int) -> int:
    """The batch size that a frame of so many sequences is computed with."""
    return next((size for size in _GRAPH_BATCH_SIZES if size >= sequences), -(-sequences // _FURTHER) * _FURTHER)


def graph_batch_sizes(most: int) -> list[int]:
    """The batch sizes that frames are computed with where there are at most so many sequences."""
    return sorted({graph_batch_size(sequences) for sequences in range(1, most + 1)})


def whole_strides(positions: int) -> int:
    """The number of positions, rounded up to whole strides."""
    return -(-positions // _STRIDE) * _STRIDE


@dataclass(frozen=True)
class SequenceNeed:
    """The lengths of a sequence: its prompt in tokens, its speech in frames."""

    prompt_tokens: int
    max_frames: int
    expected_frames: int

    @property
    def max_positions(self) -> int:
        """The most positions that it can take."""
        return self.prompt_tokens + (self.max_frames + _UNSEEN_FRAMES) * SLOTS


def sequence_needs(requests: Sequence[Request], prompts: Sequence[Sequence[int]]) -> list[SequenceNeed]:
    """The lengths of these requests' sequences."""
    return [
        SequenceNeed(len(prompt), request.max_frames, request.likely_frames)
        for prompt, request in zip(prompts, requests, strict=True)
    ]


def plan_budget(
    llama: "LlamaLayers", layout: TokenLayout, needs: Sequence[SequenceNeed], batch_size: int, paged: bool
) -> BatchBudget:
    """Plan the batch for sequences of these needs, at most `batch_size` together.

    With `paged`, the budget has as many blocks as the first sequences will likely take, or as many as fit into GPU
    memory; sequences are admitted as others end. Without it, each sequence has as many positions as the longest from
    the start, which limits the batch size.
    """
    sequences = min(batch_size, len(needs))
    longest = whole_strides(max(need.max_positions for need in needs))
    available, position_bytes = 0, _position_bytes(llama, paged)
    if llama.head.device.type == "cuda":
        frames = max(need.max_frames for need in needs)
        graphs = _PROMPT_GRAPHS_BYTES + _GRAPH_BYTES * len(graph_batch_sizes(sequences))
        free = free_bytes(llama.head.device) - graphs - _working_set(llama, layout, sequences, frames)
        available = free // position_bytes
    if not paged:
        if llama.head.device.type == "cuda":
            # A batch can have more batch slots than sequences, and all of them take memory.
            while sequences > 1 and (graph_batch_size(sequences) + 1) * longest > available:
                sequences -= 1
        return BatchBudget(sequences, longest, graph_batch_size(sequences), 0)
    wanted = max(int(_expected_blocks(needs, sequences) * _MARGIN), -(-longest // BLOCK_SIZE))
    return BatchBudget(sequences, longest, max(min(wanted, available // BLOCK_SIZE), 1), BLOCK_SIZE)


def _expected_blocks(needs: Sequence[SequenceNeed], sequences: int) -> int:
    """Blocks that so many sequences hold at a time: the first ones, which start together, or later ones, which do not.

    A sequence of n tokens after a prompt of p holds p + n / 2 positions on average, and long ones run more of the time.
    """
    forecast = BlockForecast(0, BLOCK_SIZE)
    forecast.reset(max(need.expected_frames for need in needs))
    for need in needs[:sequences]:
        forecast.add(need.prompt_tokens, need.expected_frames)
    speech = [need.expected_frames * SLOTS for need in needs]
    weighted = sum(tokens * (need.prompt_tokens + tokens / 2) for need, tokens in zip(needs, speech, strict=True))
    return max(forecast.max_blocks, int(sequences * (weighted / sum(speech) / BLOCK_SIZE + 1)))


def predicted_peak(llama: "LlamaLayers", layout: TokenLayout, budget: BatchBudget, frames: int) -> int:
    """The likely peak of the GPU memory, in bytes, that is in use while sequences of about `frames` are decoded.

    It is less than what the plan leaves room for: CUDA graphs keep what they worked with, but no two work at a time.
    """
    tokens = (budget.blocks + 1) * (budget.block_size or budget.positions)
    allocated = torch.cuda.memory_allocated(llama.head.device)
    cache = _position_bytes(llama, paged=budget.block_size > 0) * tokens
    state = _state_bytes(layout, budget.sequences, frames)
    return allocated + cache + state + max(_work_bytes(llama, layout, budget.sequences, frames))


def _position_bytes(llama: "LlamaLayers", paged: bool) -> int:
    """Bytes of memory for one position of one sequence. Plain attention first takes a layer's context out of 8 bits."""
    return llama.position_bytes if paged else llama.position_bytes + llama.unpacked_bytes


def _working_set(llama: "LlamaLayers", layout: TokenLayout, sequences: int, frames: int) -> int:
    """Bytes other than weights and cache: the sequences' state, and what is kept for each kind of work."""
    return _state_bytes(layout, sequences, frames) + sum(_work_bytes(llama, layout, sequences, frames)) + _SLACK


def _state_bytes(layout: TokenLayout, sequences: int, frames: int) -> int:
    return sequences * (frames + 1) * SLOTS * 8 + sequences * SLOTS * layout.codebook_size


def _work_bytes(llama: "LlamaLayers", layout: TokenLayout, sequences: int, frames: int) -> tuple[int, int, int]:
    """Bytes that a pass of prompts takes, drawing, and decoding a clip."""
    hidden, qkv, gate_up = llama.widths
    prompts: int = PROMPT_TOKENS * llama.dtype.itemsize * (4 * hidden + 3 * qkv + 2 * gate_up)
    drawing = sequences * layout.codebook_size * _DRAW_BYTES_A_COLUMN
    return prompts, drawing, decode_bytes(frames, llama.head.device, layout.frame_samples)


def free_bytes(device: torch.device) -> int:
    """Bytes of GPU memory that this process may still take."""
    # The memory that loading a model leaves in PyTorch's cache is in pieces too small for a KV cache.
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info(device)
    allowed = int(torch.cuda.get_per_process_memory_fraction(device) * total) - torch.cuda.memory_reserved(device)
    return int(min(free, allowed) * (1 - _RESERVED_SHARE))
