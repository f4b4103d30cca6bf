"""Compares the headers of a checkpoint's safetensors files with its configuration, before a model is built."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maya_batch.checkpoint.hf_config import HfConfig
from maya_batch.errors import MachineError, first_line
from maya_batch.files.json_file import read_json
from maya_batch.messages.plural import plural

#: The largest header, in bytes; Maya1's takes 30 KB, that of its 4-bit weights 200 KB.
_MOST_HEADER = 16_000_000

#: The formats that transformers converts to the model's format without a scale.
_FLOATS = ("F16", "BF16", "F32", "F64")

#: The tensor that bitsandbytes adds to a weight that it has quantized.
_SCALES = {"nf4": ".weight.absmax", "fp4": ".weight.absmax", "int8": ".SCB"}

_INDEX = "model.safetensors.index.json"
_MEND = "fetch the model again"


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as the header of a safetensors file describes it; none of it is checked."""

    path: Path
    dtype: object
    shape: object
    offsets: object
    """Where its bytes begin and end, counted from the end of the header."""
    data: int
    """The end of the header, in bytes from the start of the file."""


def check_weights(folder: Path, config: HfConfig) -> None:
    """Check that the files in `folder` hold the tensors that the configuration describes.

    Raises:
        MachineError: they do not, or there are none.
    """
    tensors = read_headers(folder)
    shapes = _shapes(config)
    missing = sorted(name for name in shapes if f"{name}.weight" not in tensors)
    if missing:
        # transformers would fill them with random numbers, and only log a warning.
        raise MachineError(
            f"{folder}: its files lack {plural(len(missing), 'tensor')} of the model, for example {missing[0]}.weight; "
            f"{_MEND}"
        )
    for name, shape in shapes.items():
        tensor = tensors[f"{name}.weight"]
        if config.saved is not None and name.endswith("_proj"):
            if name + _SCALES[config.saved] not in tensors:
                raise MachineError(
                    f"{folder}: config.json says that the weights are quantized as {config.saved}, but {name} is not; "
                    f"{_MEND}"
                )
        elif tensor.dtype not in _FLOATS:
            raise MachineError(f"{folder}: the values of {name} are {str(tensor.dtype)[:20]}, not floats; {_MEND}")
        elif tensor.shape != shape:
            raise MachineError(
                f"{folder}: the model does not load (the shape of {name} is {str(tensor.shape)[:40]} in its files, "
                f"but {shape} by config.json); {_MEND}"
            )


def number_formats(folder: Path) -> Counter[str]:
    """How many tensors of each number format the files in `folder` hold, like `BF16`.

    Raises:
        MachineError: they do not begin as safetensors files do.
    """
    return Counter(str(tensor.dtype)[:20] for tensor in read_headers(folder).values())


def _shapes(config: HfConfig) -> dict[str, list[int]]:
    """The shapes of a Llama's weights, by their names without the prefix `model.` and the suffix `.weight`."""
    hidden, inner = config.hidden, config.intermediate
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    layer = {
        "input_layernorm": [hidden],
        "post_attention_layernorm": [hidden],
        "self_attn.q_proj": [queries, hidden],
        "self_attn.k_proj": [keys, hidden],
        "self_attn.v_proj": [keys, hidden],
        "self_attn.o_proj": [hidden, queries],
        "mlp.gate_proj": [inner, hidden],
        "mlp.up_proj": [inner, hidden],
        "mlp.down_proj": [hidden, inner],
    }
    shapes = {f"layers.{number}.{name}": shape for number in range(config.layers) for name, shape in layer.items()}
    return {"embed_tokens": [config.vocabulary, hidden], "norm": [hidden], **shapes}


def _weight_files(folder: Path) -> list[Path]:
    """The files that transformers loads: a single one, or those of an index."""
    one, index = folder / "model.safetensors", folder / _INDEX
    if one.is_file():
        return [one]
    try:
        names = set(read_json(index, _MOST_HEADER)["weight_map"].values())
        # Only plain names: a file elsewhere would be loaded, but is not part of the identity.
        if not names or any(Path(name).name != name for name in names):
            raise ValueError("it names no files, or files outside this folder")
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise MachineError(f"{index}: the model does not load ({first_line(error)}); {_MEND}") from error
    return [folder / name for name in sorted(names)]


def read_headers(folder: Path) -> dict[str, StoredTensor]:
    """The tensors in the files that transformers loads, by their names without the prefix `model.`.

    Raises:
        MachineError: there are no such files, or they do not begin as safetensors files do.
    """
    return {name.removeprefix("model."): tensor for name, tensor in stored_tensors(folder).items()}


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """The tensors in the files that transformers loads, by the names that they have there.

    Raises:
        MachineError: as `read_headers`.
    """
    tensors: dict[str, StoredTensor] = {}
    for path in _weight_files(folder):
        tensors.update(_read_header(path))
    return tensors


def _read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors in a file's header. safetensors itself checks that they lie within the file.

    Raises:
        MachineError: the file has no safetensors header.
    """
    try:
        if not path.is_file():  # reading a pipe would block
            raise ValueError("no such file")
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 2 <= size <= min(_MOST_HEADER, path.stat().st_size - 8):
                raise ValueError("not a safetensors file")
            header: Mapping[str, Any] = json.loads(file.read(size))
        return {
            name: StoredTensor(path, tensor["dtype"], tensor["shape"], tensor.get("data_offsets"), 8 + size)
            for name, tensor in header.items()
            if name != "__metadata__"
        }
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise MachineError(f"{path}: the model does not load ({first_line(error)}); {_MEND}") from error
