"""Stores how fast this machine renders, as the last benchmark measured it; `plan` uses it for estimates."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from maya_batch.checkpoint.locate import DEMO, is_gguf
from maya_batch.errors import MachineError
from maya_batch.files.atomic_write import write_atomic
from maya_batch.files.json_file import read_json


@dataclass(frozen=True)
class Speed:
    """The speed of a model on this machine, as a benchmark measured it."""

    device: str
    x_realtime: float
    """Seconds of speech a second, without loading the model."""
    start_s: float
    """Seconds from the start of the process to the first frame."""


def save_speed(model: str | None, speed: Speed) -> Path:
    """Store the speed of a model for later estimates; return the path of the file.

    Raises:
        MachineError: the file cannot be written, or the user has no home folder.
    """
    path = speed_file()
    if path is None:
        raise MachineError("the measured speed cannot be saved, because this user has no home folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"{path.parent}: cannot be created ({error.strerror})") from error
    write_atomic(path, json.dumps(_read(path) | {_name(model): asdict(speed)}, indent=2).encode())
    return path


def saved_speed(model: str | None) -> Speed | None:
    """The speed of a model in the last benchmark; None without one."""
    path = speed_file()
    found = None if path is None else _read(path).get(_name(model))
    try:
        return Speed(str(found["device"]), float(found["x_realtime"]), float(found["start_s"])) if found else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def speed_file() -> Path | None:
    """The file of speeds, in the user's cache folder; None for a user without a home folder."""
    try:
        return user_cache_path("maya-batch", appauthor=False) / "bench.json"
    except RuntimeError:  # neither the environment nor the user database has a home folder
        return None


def _name(model: str | None) -> str:
    """The name that a model's speed is stored under.

    All models except the demo voice have Maya1's shape. A GGUF file is another engine's, and its types set its speed.
    """
    if model is not None and is_gguf(model):
        return Path(model).name
    return DEMO if model == DEMO else "maya1"


def _read(path: Path) -> dict[str, Any]:
    try:
        data = read_json(path)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
