"""Copies a model's weights to the GPU while another thread imports transformers, which takes as long."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod
from pathlib import Path

import torch

from maya_batch.checkpoint.weights_header import StoredTensor, stored_tensors
from maya_batch.engine.batch_budget import free_bytes
from maya_batch.engine.device import choose_device, choose_dtype

log = logging.getLogger(__name__)

_FORMATS = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
"""Number formats by their names in safetensors files."""

_PIECE = 2**29
"""Bytes that are copied at once, or one tensor. After each copy the thread waits for the interpreter."""

_ALIGNMENT = 16
"""Bytes: the GPU reads 16 at once."""

_ROOM = 4
"""How many times the weights have to fit into free memory. They and transformers' room for them are there together for
a moment, and what the copies leave between them, 0.2 GiB, would hold sequences that a smaller memory needs more.
"""


@dataclass(frozen=True)
class _Place:
    """Where a tensor lies in its file, in bytes."""

    begin: int
    end: int
    name: str
    shape: list[int]


def early_weights(folder: Path, device: str, dtype: str, quantization: str) -> dict[str, torch.Tensor]:
    """The weights of the checkpoint in `folder` on the GPU, by name; none where transformers should read them.

    It should on a CPU, where they are quantized or change their number format, and where GPU memory is small. It also
    tells what is wrong with a file; here that means no weights.
    """
    try:
        gpu = choose_device(device)
        if gpu.type != "cuda" or quantization != "none":
            return {}
        torch.cuda.set_device(gpu)
        tensors = stored_tensors(folder)
        size = sum(path.stat().st_size for path in {tensor.path for tensor in tensors.values()})
        if free_bytes(gpu) < _ROOM * size:
            return {}
        return read_weights(tensors, choose_dtype(dtype, gpu, quantization), gpu)
    except Exception as error:
        log.debug("the weights were not read early: %s", error)
        return {}


def read_weights(
    tensors: Mapping[str, StoredTensor], dtype: torch.dtype, device: torch.device, piece_bytes: int = _PIECE
) -> dict[str, torch.Tensor]:
    """Tensors of this number format on the device, in the order of their files.

    Neighbours of up to `piece_bytes` together are parts of one tensor.

    Raises:
        ValueError: one has another number format, or does not lie where its file's header says.
    """
    weights: dict[str, torch.Tensor] = {}
    by_file = sorted(tensors.items(), key=lambda item: item[1].path)
    for path, stored in groupby(by_file, key=lambda item: item[1].path):
        mapped = torch.from_file(str(path), shared=False, size=path.stat().st_size, dtype=torch.uint8)
        places = sorted((_place(*item, dtype, len(mapped)) for item in stored), key=lambda place: place.begin)
        for piece in _pieces(places, piece_bytes):
            start = piece[0].begin
            data = mapped[start : max(place.end for place in piece)].to(device, copy=True)
            for place in piece:
                if (place.begin - start) % _ALIGNMENT:
                    raise ValueError(f"a tensor at {place.begin}, between two addresses that the GPU reads from")
                weights[place.name] = data[place.begin - start : place.end - start].view(dtype).view(place.shape)
    return weights


def _place(name: str, tensor: StoredTensor, dtype: torch.dtype, size: int) -> _Place:
    match tensor.offsets, tensor.shape:
        case [int(begin), int(end)], [*lengths] if _FORMATS.get(str(tensor.dtype)) == dtype:
            shape = [length for length in lengths if isinstance(length, int) and length > 0]
            fits = 0 <= begin <= end <= size - tensor.data and end - begin == prod(shape) * dtype.itemsize
            if fits and len(shape) == len(lengths):
                return _Place(tensor.data + begin, tensor.data + end, name, shape)
    raise ValueError(f"a tensor of {str(tensor.dtype)[:20]} at {str(tensor.offsets)[:40]}")


def _pieces(places: Sequence[_Place], size: int) -> Iterator[list[_Place]]:
    """Neighbours of up to `size` bytes together; larger ones are alone."""
    piece: list[_Place] = []
    for place in places:
        if piece and place.end - piece[0].begin > size:
            yield piece
            piece = []
        piece.append(place)
    yield piece
