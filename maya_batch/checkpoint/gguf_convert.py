"""Converts a checkpoint to a GGUF file, which appears under its name when it is whole."""

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maya_batch.checkpoint.gguf_config import read_gguf_config
from maya_batch.checkpoint.gguf_file import read_gguf
from maya_batch.checkpoint.gguf_quantize import check_llama_cpp, quantize
from maya_batch.checkpoint.gguf_weights import Stored
from maya_batch.checkpoint.gguf_writer import write_gguf
from maya_batch.checkpoint.locate import Checkpoint, is_gguf
from maya_batch.errors import UsageError
from maya_batch.files.atomic_write import part_of, remove_part, sync_folder, write_errors

FileType = Literal["f32", "f16", "q8_0", "q6_k", "q5_k_m", "q4_k_m"]

StageProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""

_BLOCK = re.compile(r"^blk\.\d+\.")


@dataclass(frozen=True)
class Converted:
    """What became of the tensors."""

    size: int
    """Of the file, in bytes."""
    types: dict[str, Counter[str]]
    """How many of each kind, like `attn_q.weight`, are of which type, like `Q4_K`."""


def check_target(path: Path) -> None:
    """Raise a UsageError if this is no name for a new GGUF file."""
    if not is_gguf(path):
        raise UsageError(f"{path}: the name of a GGUF file ends in .gguf")
    if os.path.lexists(path):
        raise UsageError(f"{path} already exists; delete it, or choose another name")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder")


def convert(checkpoint: Checkpoint, path: Path, kind: FileType, progress: StageProgress) -> Converted:
    """Write the checkpoint as the new file `path`. While it is written, it and what it is quantized from have hidden
    names in the same folder.

    Raises:
        UsageError: `path` exists or is no name for it, or the checkpoint is not of Llama's form.
        MachineError: the checkpoint is broken, the disk is full, llama.cpp fails, or the extra `gguf` is not installed.
    """
    check_target(path)
    part, unquantized = part_of(path), part_of(path.with_suffix(".unquantized.gguf"))
    try:
        with write_errors(path):
            if kind == "f32" or kind == "f16":
                stored: Stored = "F32" if kind == "f32" else "F16"
                write_gguf(checkpoint, part, stored, lambda *done: progress("write", *done))
            else:
                check_llama_cpp()
                # Without loss, so that the weights are rounded once.
                write_gguf(checkpoint, unquantized, None, lambda *done: progress("write", *done))
                quantize(unquantized, part, kind, lambda *done: progress("quantize", *done))
            converted = Converted(part.stat().st_size, _types(part))
            check_target(path)
            part.replace(path)
    except BaseException:  # a signal, too
        remove_part(part)
        raise
    finally:
        remove_part(unquantized)
    sync_folder(path.parent)
    return converted


def _types(path: Path) -> dict[str, Counter[str]]:
    """The types of a file's tensors.

    Raises:
        MachineError: the file is not whole.
    """
    file = read_gguf(path)
    read_gguf_config(file)
    types: dict[str, Counter[str]] = {}
    for tensor in file.tensors:
        types.setdefault(_BLOCK.sub("", tensor.name), Counter())[tensor.type] += 1
    return types
