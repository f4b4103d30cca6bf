"""The weights of a Llama checkpoint, under GGUF's names and in its order, read a few rows at a time.

llama.cpp rotates neighbouring numbers of a head, transformers those half a head apart, so the rows of the query and key
projections are in another order in a GGUF file. bfloat16 is read as 16-bit integers, because numpy does not have it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from maya_batch.checkpoint.hf_config import HfConfig
from maya_batch.checkpoint.weights_header import StoredTensor, read_headers
from maya_batch.errors import MachineError, UsageError

Stored = Literal["F32", "F16", "BF16"]
"""How a GGUF file has a tensor's values."""

#: Bytes of a tensor that are read at once.
_BLOCK = 2**24

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}

#: The largest number of float16.
_MOST_F16 = 65504

_OUTER = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}
_INNER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


@dataclass(frozen=True)
class Weight:
    """A tensor of the checkpoint, and what it becomes."""

    name: str
    """In the GGUF file."""
    source: StoredTensor
    shape: tuple[int, ...]
    """[rows, columns], or [numbers] of a norm."""
    dtype: str
    """`F64`, `F32`, `F16` or `BF16`."""
    head: int = 0
    """The rows of a head, whose order changes; 0 if none does."""

    def stored(self, kind: Stored | None) -> Stored:
        """How it is written to a file of this kind; without a kind, without loss. Norms are float32 for llama.cpp."""
        if len(self.shape) == 1 or kind == "F32":
            return "F32"
        return kind or ("F32" if self.dtype == "F64" else self.dtype)  # type: ignore[return-value]  # one of the two

    def size(self, kind: Stored | None) -> int:
        """Its bytes in a file of this kind."""
        return math.prod(self.shape) * (4 if self.stored(kind) == "F32" else 2)

    def blocks(self, kind: Stored | None) -> Iterator[NDArray[Any]]:
        """Its values as they are written, a few rows at a time; bfloat16 as 16-bit integers.

        Raises:
            MachineError: the file is too short, or has a value that is not a number.
            UsageError: a value is too large for float16.
        """
        columns = self.shape[-1] if len(self.shape) == 2 else 1
        rows, stored = self.shape[0], self.stored(kind)
        dtype = np.dtype(_DTYPES[self.dtype])
        step = max(1, _BLOCK // (columns * dtype.itemsize * (self.head or 1))) * (self.head or 1)
        with self.source.path.open("rb") as file:
            file.seek(self._start(math.prod(self.shape) * dtype.itemsize))
            for first in range(0, rows, step):
                count = min(step, rows - first) * columns
                block = np.frombuffer(self._read(file, count * dtype.itemsize), dtype)
                if self.head:
                    block = block.reshape(-1, 2, self.head // 2, columns).swapaxes(1, 2).reshape(-1)
                yield self._converted(block, stored)

    def _read(self, file: BinaryIO, size: int) -> bytes:
        try:
            data = file.read(size)
        except OSError as error:
            raise MachineError(f"{self.source.path}: cannot be read: {error.strerror}") from error
        if len(data) != size:
            raise MachineError(f"{self.source.path}: the file is too short; fetch the model again")
        return data

    def _start(self, size: int) -> int:
        """Where its bytes are in the file, after a check of the header."""
        match self.source.offsets:
            case [int(start), int(end)] if start >= 0 and end - start == size:
                return self.source.data + start
        raise MachineError(f"{self.source.path}: the header misplaces {self.name}; fetch the model again")

    def _converted(self, block: NDArray[Any], stored: Stored) -> NDArray[Any]:
        if self.dtype == "BF16":
            numbers = (block.astype("<u4") << 16).view("<f4")
        else:
            with np.errstate(over="ignore"):
                numbers = block.astype("<f4", copy=False)
        largest = float(np.abs(numbers).max())  # NaN if any of them is
        if not math.isfinite(largest):
            raise MachineError(
                f"{self.source.path}: {self.name} has values that are not numbers; fetch the model again"
            )
        if stored == "F32":
            return numbers
        if stored == self.dtype:
            return block
        if largest > _MOST_F16:
            raise UsageError(
                f"{self.source.path}: {self.name} has a value of {largest:.4g}, too large for f16; use --type f32"
            )
        return numbers.astype("<f2")


def read_weights(folder: Path, config: HfConfig) -> tuple[list[Weight], list[str]]:
    """The tensors of the checkpoint in `folder`, which `check_weights` has accepted, and the names of unused ones.

    An output head that is the embedding has no tensor.

    Raises:
        MachineError: the output head is missing or has another shape.
    """
    tensors = read_headers(folder)
    names = dict(_OUTER)
    for layer in range(config.layers):
        names |= {f"layers.{layer}.{name}": f"blk.{layer}.{gguf}" for name, gguf in _INNER.items()}
    tied = bool(config.arguments.get("tie_word_embeddings", False))
    if tied and "lm_head.weight" not in tensors:
        del names["lm_head"]
    else:
        _check_head(folder, tensors.get("lm_head.weight"), [config.vocabulary, config.hidden])
    weights = []
    for name, gguf in names.items():
        tensor = tensors.pop(f"{name}.weight")
        assert isinstance(tensor.shape, list)  # checked by check_weights, and above
        head = config.head_dim if name.endswith(("q_proj", "k_proj")) else 0
        weights.append(Weight(f"{gguf}.weight", tensor, tuple(tensor.shape), str(tensor.dtype), head))
    by_name = {weight.name: weight for weight in weights}
    # transformers, too, uses the head of such a file if it differs, although config.json says that it is tied.
    if tied and "output.weight" in by_name and _are_equal(by_name["output.weight"], by_name["token_embd.weight"]):
        weights.remove(by_name["output.weight"])
    return weights, sorted(tensors)


def _check_head(folder: Path, head: StoredTensor | None, shape: list[int]) -> None:
    if head is None:
        raise MachineError(f"{folder}: its files lack lm_head.weight; fetch the model again")
    if head.dtype not in _DTYPES or head.shape != shape:
        raise MachineError(
            f"{folder}: lm_head is {str(head.dtype)[:20]} {str(head.shape)[:40]}, but the model needs floats "
            f"{shape}; fetch the model again"
        )


def _are_equal(one: Weight, other: Weight) -> bool:
    pairs = zip(one.blocks(None), other.blocks(None), strict=False)
    return one.dtype == other.dtype and all(np.array_equal(block, same) for block, same in pairs)
