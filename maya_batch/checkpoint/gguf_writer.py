"""Writes a checkpoint of Llama's form as a GGUF file with unquantized weights.

The file has what llama.cpp needs, and two keys that this program reads: `tokenizer.huggingface.json`, since llama.cpp
has no normalizer, and `maya_batch.token_layout`.
"""

import json
import logging
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from maya_batch.checkpoint.gguf_tokens import HF_JSON
from maya_batch.checkpoint.gguf_types import FILE_TYPES
from maya_batch.checkpoint.gguf_vocabulary import read_vocabulary
from maya_batch.checkpoint.gguf_weights import Stored, Weight, read_weights
from maya_batch.checkpoint.hf_config import HfConfig, read_hf_config
from maya_batch.checkpoint.locate import Checkpoint
from maya_batch.checkpoint.token_layout import FRAME_ORDER, LAYOUT_FILE, LAYOUT_KEY, SLOTS, TokenLayout, read_layout
from maya_batch.checkpoint.weights_header import check_weights
from maya_batch.errors import MachineError, UsageError
from maya_batch.files.atomic_write import write_synced
from maya_batch.files.json_file import MOST
from maya_batch.messages.install_hint import install_hint
from maya_batch.messages.plural import plural
from maya_batch.messages.printable import printable

if TYPE_CHECKING:
    from gguf import GGUFWriter

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""

#: The defaults of transformers for keys that a config.json may lack.
_CONTEXT, _EPSILON, _THETA = 2048, 1e-6, 10000.0

_LLAMA3 = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")


def missing_extra(what: str) -> MachineError:
    """The error for a package of the extra `gguf` that is not installed."""
    return MachineError(
        f"{what} is not installed; run `{install_hint('gguf')}`, which needs a C++ compiler and "
        "cmake (`apt install build-essential cmake`)"
    )


def number_of(file_type: str) -> int:
    """llama.cpp's number of a file type like `f16`."""
    return next(number for number, name in FILE_TYPES.items() if name == file_type)


def write_gguf(checkpoint: Checkpoint, path: Path, kind: Stored | None, progress: Progress) -> None:
    """Write the checkpoint as the file `path`, synced to the disk; it is removed if that fails.

    `kind` is how matrices are stored, None: without loss. `progress` counts bytes.

    Raises:
        UsageError: the checkpoint is not of Llama's form, or has a value that float16 cannot hold.
        MachineError: the checkpoint is broken, or the extra `gguf` is not installed.
        OSError: the file cannot be written.
    """
    try:
        from gguf import GGUFWriter
        from gguf.gguf_writer import WriterState
    except ImportError as error:
        raise missing_extra("the package gguf") from error
    folder = checkpoint.path
    config, layout = read_hf_config(folder), read_layout(folder)
    theta, factors = _check_form(folder, config, layout)
    check_weights(folder, config)
    weights, unused = read_weights(folder, config)
    if unused:
        log.warning(
            "%s: the model does not use %s of the files, for example %s",
            folder,
            plural(len(unused), "tensor"),
            unused[0],
        )
    writer = GGUFWriter(None, "llama")
    writer.add_name(printable(Path(checkpoint.name).name if Path(checkpoint.name).is_absolute() else checkpoint.name))
    writer.add_file_type(number_of((kind or "BF16").lower()))
    _add_shape(writer, config, theta)
    _add_tokens(writer, folder, config, layout)
    if factors is not None:
        writer.add_tensor_info("rope_freqs.weight", factors.shape, factors.dtype, factors.nbytes)
    for weight in weights:
        _add_info(writer, weight, kind)

    def write(file: BinaryIO) -> None:
        # The writer opens its files by name, which would follow a link.
        writer.fout, writer.state = [file], WriterState.EMPTY
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.write_padding(file, file.tell())
        if factors is not None:
            file.write(factors.data)
            writer.write_padding(file, factors.nbytes)
        done, total = 0, sum(weight.size(kind) for weight in weights)
        for weight in weights:
            for block in weight.blocks(kind):
                file.write(np.ascontiguousarray(block).data)
                done += block.nbytes
                progress(done, total)
            writer.write_padding(file, weight.size(kind))

    write_synced(path, write)


def _check_form(folder: Path, config: HfConfig, layout: TokenLayout) -> tuple[float, "np.ndarray[Any, Any] | None"]:
    """The base of the position angles, and by what llama.cpp divides each angle (None: by 1).

    Raises:
        UsageError: llama.cpp's Llama has no such part.
        MachineError: it is not a Maya1 checkpoint, or lacks a number.
    """
    if config.saved is not None:
        raise UsageError(
            f"{folder} is already quantized as {config.saved}; convert the checkpoint that it was made from"
        )
    for name in ("attention_bias", "mlp_bias"):
        if config.arguments.get(name):
            raise UsageError(
                f"{folder}: {name} is set in config.json; convert takes only models without biases, like Maya1"
            )
    if config.vocabulary < layout.vocabulary:
        raise MachineError(
            f"{folder}: the embedding has {config.vocabulary} rows, too few for speech codes up to "
            f"{layout.vocabulary - 1}; this is not a Maya1 checkpoint"
        )
    rope = config.arguments.get("rope_scaling") or config.arguments.get("rope_parameters") or {}
    theta = float(rope.get("rope_theta") or config.arguments.get("rope_theta") or _THETA)
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind not in ("default", "llama3") or rope.get("partial_rotary_factor") not in (None, 1):
        what = kind if kind not in ("default", "llama3") else "partial"
        raise UsageError(f"{folder}: its position angles (RoPE) are {what}; convert takes default and llama3")
    if kind == "default":
        return theta, None
    numbers = [rope.get(name) for name in _LLAMA3]
    if not all(isinstance(number, int | float) and number > 0 for number in numbers) or numbers[1] == numbers[2]:
        raise MachineError(f"{folder}: config.json lacks {', '.join(_LLAMA3)} of llama3's RoPE; fetch the model again")
    return theta, _llama3_factors(config.head_dim, theta, *map(float, numbers))  # type: ignore[arg-type]


def _llama3_factors(head_dim: int, theta: float, factor: float, low: float, high: float, old: float) -> Any:
    """By what llama3's RoPE divides the angle of each of a head's pairs, float32 [head_dim / 2].

    Waves longer than old / low positions are stretched by `factor`, those shorter than old / high are not, and in
    between the frequency is interpolated, as transformers does.
    """
    frequencies = theta ** -(np.arange(0, head_dim, 2) / head_dim)
    smooth = np.clip((old * frequencies / (2 * math.pi) - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / factor + smooth)).astype("<f4")


def _add_shape(writer: "GGUFWriter", config: HfConfig, theta: float) -> None:
    writer.add_vocab_size(config.vocabulary)
    writer.add_context_length(config.arguments.get("max_position_embeddings") or _CONTEXT)
    writer.add_embedding_length(config.hidden)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.intermediate)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.arguments.get("rms_norm_eps", _EPSILON))
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(theta)


def _add_tokens(writer: "GGUFWriter", folder: Path, config: HfConfig, layout: TokenLayout) -> None:
    vocabulary = read_vocabulary(folder, config.vocabulary, layout)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(layout.bos)
    writer.add_eos_token_id(layout.eos)
    writer.add_pad_token_id(layout.pad)
    writer.add_add_bos_token(False)
    writer.add_string(HF_JSON, vocabulary.json)
    writer.add_string(LAYOUT_KEY, _layout_json(folder, layout))


def _layout_json(folder: Path, layout: TokenLayout) -> str:
    """The checkpoint's maya_tokens.json, which `read_layout` has checked; written from the layout if there is none."""
    path = folder / LAYOUT_FILE
    if not path.is_file():
        return json.dumps(asdict(layout) | {"tokens_per_frame": SLOTS, "frame_order": FRAME_ORDER})
    with path.open("rb") as file:
        return file.read(MOST).decode()


def _add_info(writer: "GGUFWriter", weight: Weight, kind: Stored | None) -> None:
    from gguf import GGMLQuantizationType

    stored = weight.stored(kind)
    raw = GGMLQuantizationType[stored]
    writer.add_tensor_info(weight.name, weight.shape, np.dtype("<f4"), weight.size(kind), raw_dtype=raw)
