"""Reads, checks and writes the file model.lock; `model_lock` interprets it."""

import math
from pathlib import Path
from typing import Any

import yaml

from maya_batch.errors import MachineError
from maya_batch.files.atomic_write import write_atomic
from maya_batch.files.safe_open import safe_read
from maya_batch.files.yaml_content import content_of, parsed

CONFIG_FIELDS = ("dtype", "quantization", "decoding")
"""The fields of a model config besides the model's identity; the file calls them a recipe."""

#: A field that a model config has only with keys and values in another format than the model's.
_KV_CACHE = "kv_cache"

#: What a trial of the KV cache has found, in an entry of a model, by name.
_TRIAL = {"takes": int, "tokens": int, "divergence": float, "same_best": float, "kv_cache": str}

_VERSION = 1
_HEAD = (
    "# What this book is rendered with; written by maya-batch at the first render. Takes are found by it: keep it.\n"
)

#: The largest file, in bytes: checkpoints of thousands of files.
_LARGEST = 2**18


def read_lock(path: Path) -> dict[str, Any]:
    """The content of the file; that of an empty lock if there is no file.

    Raises:
        MachineError: it is not a model.lock of this version.
    """
    try:
        data = parsed(safe_read(path, _LARGEST))
    except (FileNotFoundError, NotADirectoryError):
        return {"version": _VERSION, "model": {}, "codec": {}}
    except (OSError, ValueError, RecursionError, OverflowError, yaml.YAMLError) as error:
        raise _unreadable(path) from error
    if not _is_lock(data):
        raise _unreadable(path)
    return dict(data)


def write_lock(path: Path, data: dict[str, Any]) -> None:
    """Write the file, whole or not at all, if it has changed.

    Raises:
        MachineError: it cannot be written.
    """
    try:
        # What it says is compared, and not its text: writing YAML takes a sixth of a run over a book that is finished.
        if parsed(safe_read(path, _LARGEST)) == data:
            return
    except (FileNotFoundError, ValueError, RecursionError, OverflowError, yaml.YAMLError):
        pass
    except OSError as error:
        raise MachineError(f"{path}: cannot be read ({error.strerror})") from error
    write_atomic(path, _HEAD.encode() + content_of(data))


def _unreadable(path: Path) -> MachineError:
    return MachineError(f"{path}: not a model.lock of this version; restore a copy of it, or delete it to start over")


def _is_lock(data: Any) -> bool:
    """Whether this is valid content of a model.lock; the file is untrusted."""
    if not isinstance(data, dict) or data.get("version") != _VERSION:
        return False
    for kind in ("model", "codec"):
        entries = data.get(kind)
        if not isinstance(entries, dict) or not all(isinstance(name, str) for name in entries):
            return False
        if not all(_is_entry(entry) for entry in entries.values()):
            return False
    return isinstance(data.get("current", ""), str)


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("identity"), str):
        return False
    files, earlier = entry.get("files"), entry.get("earlier", [])
    stamps = files.values() if isinstance(files, dict) else [None]
    if not all(isinstance(stamp, list) and all(isinstance(part, int) for part in stamp) for stamp in stamps):
        return False
    known: list[tuple[Any, tuple[str, ...]]] = [(entry["recipe"], CONFIG_FIELDS)] if entry.get("recipe") else []
    if not isinstance(earlier, list) or not _is_trial(entry.get("kv_cache_trial")):
        return False
    known += [(old, ("identity", *CONFIG_FIELDS)) for old in earlier]
    return all(_is_model_config(values, fields) for values, fields in known)


def _is_trial(values: Any) -> bool:
    """Whether this is a valid trial of the KV cache, or None."""
    if values is None:
        return True
    if not isinstance(values, dict) or not _TRIAL.keys() <= values.keys():
        return False
    return all(isinstance(values[name], kind) for name, kind in _TRIAL.items()) and all(
        math.isfinite(value) for value in values.values() if isinstance(value, float)
    )


def _is_model_config(values: Any, keys: tuple[str, ...]) -> bool:
    if not isinstance(values, dict) or set(values) - {_KV_CACHE} != set(keys):
        return False
    return all(isinstance(value, str) for value in values.values())
