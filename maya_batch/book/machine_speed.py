"""How fast this machine renders, as the last benchmark measured it; `plan` estimates with it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from maya_batch.checkpoint.locate import DEMO
from maya_batch.errors import MachineError
from maya_batch.files.atomic_write import write_atomic
from maya_batch.files.json_file import read_json


@dataclass(frozen=True)
class Speed:
    """What a benchmark of this machine measured for a model."""

    device: str
    x_realtime: float
    """Seconds of speech a second, the model loaded."""
    start_s: float
    """Seconds from the start of the process to the first frame."""


def save_speed(model: str | None, speed: Speed) -> Path:
    """Keep the speed of a model for later estimates; the path of the file.

    Raises:
        MachineError: the file cannot be written, or the user has no home folder.
    """
    path = speed_file()
    if path is None:
        raise MachineError("this user has no home folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"{path.parent}: cannot be made ({error.strerror})") from error
    write_atomic(path, json.dumps(_read(path) | {_name(model): asdict(speed)}, indent=2).encode())
    return path


def saved_speed(model: str | None) -> Speed | None:
    """The speed that the last benchmark measured for a model; None without one."""
    path = speed_file()
    found = None if path is None else _read(path).get(_name(model))
    try:
        return Speed(str(found["device"]), float(found["x_realtime"]), float(found["start_s"])) if found else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def speed_file() -> Path | None:
    """Where speeds are kept: in the user's cache folder; None for a user without a home."""
    try:
        return user_cache_path("maya-batch", appauthor=False) / "bench.json"
    except RuntimeError:  # neither the environment nor the system's list of users has one
        return None


def _name(model: str | None) -> str:
    """Under which name a model's speed is kept: all but the demo voice are of Maya1's shape."""
    return DEMO if model == DEMO else "maya1"


def _read(path: Path) -> dict[str, Any]:
    try:
        data = read_json(path)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
