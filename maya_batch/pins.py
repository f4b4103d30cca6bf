"""model.lock: what exactly a book is rendered with, pinned at its first render.

Later plans and resumes read it and hash nothing. A folder that was changed since, or a hub branch that moved on,
is noticed when the model is loaded, and never mixed into a book that was begun with something else.
"""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from maya_batch.checkpoint import Checkpoint, Kind, cached_commit, find_checkpoint
from maya_batch.errors import MachineError
from maya_batch.whole_file import write_whole

log = logging.getLogger(__name__)

_VERSION = 1
_HEAD = "# What this book is rendered with; written by maya-batch at the first render. Remove an entry to begin anew.\n"


@dataclass(frozen=True)
class Recipe:
    """All of a model that shapes the codes: part of every chunk's key."""

    model: str
    """What it is: `hub:<repository>@<commit>` or `sha256:<digest of the folder>`."""
    dtype: str
    quantization: str
    decoding: str


class ModelLock:
    """The file `model.lock` of one book."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._data = self._read()

    def recipe(self, model: str) -> Recipe | None:
        """How the book was rendered with the model of this name; None where it never was."""
        entry = self._data["model"].get(model)
        return Recipe(entry["identity"], **entry["recipe"]) if entry and entry.get("recipe") else None

    def codec(self, codec: str) -> str | None:
        """The identity of the codec of this name; None where the book was never decoded with it."""
        entry = self._data["codec"].get(codec)
        return entry["identity"] if entry else None

    def models(self) -> list[str]:
        """The names of the models the book was rendered with."""
        return [name for name, entry in self._data["model"].items() if entry.get("recipe")]

    def find(self, name: str, kind: Kind) -> Checkpoint:
        """The checkpoint of this name, without a look at whether it is still what the book was begun with.

        Raises:
            MachineError: it is not on this machine.
        """
        return find_checkpoint(name, kind, self._commit(name, kind))

    def locate(self, name: str, kind: Kind) -> Checkpoint:
        """The checkpoint of this name, as pinned; pinned now where the book did not have it yet.

        Raises:
            MachineError: it is not on this machine, or no longer what it was when the book was begun.
        """
        entry = self._data[kind].get(name)
        pinned = self._commit(name, kind)
        checkpoint = self.find(name, kind)
        if entry is None:
            stamps = {} if checkpoint.revision else checkpoint.stamps()
            self._data[kind][name] = {"identity": checkpoint.identity(), "files": stamps}
        elif pinned is not None:
            branch = cached_commit(name)
            if branch not in (None, pinned):
                log.warning("%s has moved to %s; this book stays at %s, its own", name, branch, pinned)
        elif checkpoint.stamps() != entry["files"]:
            if checkpoint.identity() != entry["identity"]:
                raise MachineError(
                    f"{kind} {name} is not what this book was begun with: put the old files back, or remove its entry "
                    f"from {self._path} to render the book anew"
                )
            entry["files"] = checkpoint.stamps()
        return checkpoint

    def identity(self, name: str, kind: Kind) -> str:
        """The identity of a checkpoint that was located."""
        return str(self._data[kind][name]["identity"])

    def pin(self, model: str, recipe: Recipe) -> None:
        """Keep how the model is used from now on."""
        values = asdict(recipe)
        del values["model"]
        self._data["model"][model]["recipe"] = values

    def save(self) -> None:
        """Write the file, whole or not at all, and only where it changed."""
        text = _HEAD + yaml.safe_dump(self._data, sort_keys=False, allow_unicode=True)
        try:
            if self._path.is_file() and self._path.read_text(encoding="utf-8") == text:
                return
        except (OSError, ValueError) as error:
            raise MachineError(f"{self._path}: cannot be read ({error})") from error
        write_whole(self._path, text.encode())

    def _commit(self, name: str, kind: Kind) -> str | None:
        """The commit of the hub that a book stays at."""
        entry = self._data[kind].get(name)
        return entry["identity"].partition("@")[2] if entry and entry["identity"].startswith("hub:") else None

    def _read(self) -> dict[str, Any]:
        try:
            data = yaml.safe_load(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"version": _VERSION, "model": {}, "codec": {}}
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise self._unreadable() from error
        try:
            if data["version"] != _VERSION:
                raise self._unreadable()
            for kind in ("model", "codec"):
                for entry in data[kind].values():
                    if not isinstance(entry["identity"], str) or not isinstance(entry["files"], dict):
                        raise self._unreadable()
            for entry in data["model"].values():
                if entry.get("recipe"):
                    Recipe("", **entry["recipe"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise self._unreadable() from error
        return dict(data)

    def _unreadable(self) -> MachineError:
        return MachineError(
            f"{self._path}: not a model.lock of this version; put a copy back, or remove it to begin anew"
        )
