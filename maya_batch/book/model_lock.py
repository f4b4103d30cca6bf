"""model.lock: what exactly a book is rendered with, pinned at its first render.

Later plans and resumes read it and hash nothing. A folder that was changed since, or a hub branch that moved on,
is noticed when the model is loaded, and never mixed into a book that was begun with something else.
"""

import copy
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maya_batch.book.model_lock_file import CONFIG_FIELDS, read_lock, write_lock
from maya_batch.checkpoint.locate import Checkpoint, Kind, cached_commit, find_checkpoint
from maya_batch.errors import MachineError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelConfig:
    """All of a model that shapes the codes: part of every chunk's key."""

    model: str
    """What it is: `hub:<repository>@<commit>` or `sha256:<digest of the folder>`."""
    dtype: str
    quantization: str
    decoding: str

    def __str__(self) -> str:
        return f"{self.dtype},{self.quantization},{self.decoding}"


class ModelLock:
    """The file `model.lock` of one book.

    A model in the manifest's folder is known as `./` and its path there, so that the book can be moved.
    """

    def __init__(self, path: Path, base: Path | None = None) -> None:
        """`base` is the manifest's folder, resolved."""
        self._path, self._base = path, base
        self._data = read_lock(path)

    @property
    def begun(self) -> bool:
        """Whether the book was rendered with a model."""
        return bool(self.models())

    def model_config(self, model: str) -> ModelConfig | None:
        """How the book was rendered with the model of this name; None where it never was."""
        entry = self._entry(model, "model")
        return ModelConfig(entry["identity"], **entry["recipe"]) if entry and entry.get("recipe") else None

    def codec(self, codec: str) -> str | None:
        """The identity of the codec of this name; None where the book was never decoded with it."""
        entry = self._entry(codec, "codec")
        return entry["identity"] if entry else None

    def models(self) -> list[str]:
        """The names of the models the book was rendered with."""
        return [name for name, entry in self._data["model"].items() if entry.get("recipe")]

    def pinned(self) -> tuple[str, ModelConfig] | None:
        """The name of the model that the book is rendered with now, and how.

        None for a book that was not begun, and for one that version 0.1 rendered with several models.
        """
        names = self.models()
        name = self._data.get("current", names[0] if len(names) == 1 else None)
        model_config = None if name is None else self.model_config(name)
        return None if name is None or model_config is None else (name, model_config)

    def configs(self) -> list[tuple[str, ModelConfig]]:
        """All that the book was ever rendered with, by the model's name: for each there may be takes."""
        found = []
        for name, entry in self._data["model"].items():
            now = [entry["recipe"] | {"identity": entry["identity"]}] if entry.get("recipe") else []
            for values in (*now, *entry.get("earlier", ())):
                found.append((name, ModelConfig(values["identity"], *(values[key] for key in CONFIG_FIELDS))))
        return found

    def name(self, model: str) -> str:
        """What a model is called here: a folder inside the manifest's by its path there, all else by its own name."""
        path = Path(model)
        if self._base is None or not path.is_absolute() or not path.is_relative_to(self._base):
            return model
        return f"./{path.relative_to(self._base)}"

    def path(self, name: str) -> str:
        """The name by which a model is found on this disk, of one by which it is called here."""
        return str(self._base / name) if self._base is not None and name.startswith("./") else name

    def find(self, name: str, kind: Kind) -> Checkpoint:
        """The checkpoint of this name, without a look at whether it is still what the book was begun with.

        Raises:
            MachineError: it is not on this machine.
        """
        return find_checkpoint(name, kind, self._commit(name, kind))

    def is_as_pinned(self, name: str, kind: Kind) -> bool:
        """Whether a checkpoint is still what the book was begun with; only one whose files were touched is digested.

        Raises:
            MachineError: it is not on this machine.
        """
        entry, checkpoint = self._entry(name, kind), self.find(name, kind)
        if entry is None or checkpoint.revision is not None or checkpoint.stamps() == entry["files"]:
            return True
        return bool(checkpoint.identity() == entry["identity"])

    def recognize(self, model: str) -> None:
        """Let a model that the book was begun with under another name have this one: its bytes are compared.

        Raises:
            MachineError: it is not on this machine.
        """
        if self._entry(model, "model") is None and Path(model).is_absolute():
            identity = self.find(model, "model").identity()
            for name, entry in self._data["model"].items():
                if entry["identity"] == identity:
                    self._rename(name, model, "model")
                    return

    def locate(self, name: str, kind: Kind, switch: bool = False) -> Checkpoint:
        """The checkpoint of this name, as pinned; pinned now where the book did not have it yet.

        With `switch` a checkpoint that has changed is pinned from now on.

        Raises:
            MachineError: it is not on this machine, or no longer what it was when the book was begun.
        """
        entry = self._entry(name, kind)
        pinned = self._commit(name, kind)
        checkpoint = self.find(name, kind)
        if entry is None:
            stamps = {} if checkpoint.revision else checkpoint.stamps()
            self._data[kind][self.name(name)] = {"identity": checkpoint.identity(), "files": stamps}
        elif pinned is not None:
            branch = cached_commit(name)
            if branch not in (None, pinned):
                log.warning("%s has moved to %s; this book stays at %s, its own", name, branch, pinned)
        elif checkpoint.stamps() != entry["files"]:
            identity = checkpoint.identity()
            if identity != entry["identity"]:
                if not switch:
                    raise MachineError(
                        f"{kind} {name} is not what this book was begun with: put the old files back, or add "
                        "--switch-model-config to render the book with the new ones"
                    )
                self._keep_model_config(entry)
                entry["identity"] = identity
            entry["files"] = checkpoint.stamps()
        return checkpoint

    def identity(self, name: str, kind: Kind) -> str:
        """The identity of a checkpoint that was located."""
        return str(self._data[kind][self.name(name)]["identity"])

    def pin(self, model: str, model_config: ModelConfig) -> None:
        """Render the book with this model from now on, and so; what it was rendered with before is remembered."""
        name = self.name(model)
        entry = self._data["model"][name]
        values = {key: getattr(model_config, key) for key in CONFIG_FIELDS}
        if entry.get("recipe") not in (None, values):
            self._keep_model_config(entry)
        entry["recipe"] = values
        now = values | {"identity": entry["identity"]}
        entry["earlier"] = [old for old in entry.get("earlier", ()) if old != now]
        if not entry["earlier"]:
            del entry["earlier"]
        if len(self.models()) > 1 or "current" in self._data:
            self._data["current"] = name

    def forget(self, model: str, model_config: ModelConfig) -> None:
        """Know no more that the book was rendered so; not for the model config that is pinned."""
        entry = self._data["model"][model]
        values = {key: getattr(model_config, key) for key in CONFIG_FIELDS}
        entry["earlier"] = [old for old in entry.get("earlier", ()) if old != values | {"identity": model_config.model}]
        if entry.get("recipe") == values and entry["identity"] == model_config.model:
            del entry["recipe"]

    def save(self) -> None:
        """Write the file, whole or not at all, and only where it changed.

        Raises:
            MachineError: the disk does not take it.
        """
        write_lock(self._path, self._data)

    def _entry(self, name: str, kind: Kind) -> dict[str, Any] | None:
        """What is known of a checkpoint; one that was moved with the book, or by itself, is known by its new name."""
        called, entries = self.name(name), self._data[kind]
        if called not in entries:
            ending = called.removeprefix(".") if called.startswith("./") else None
            # Version 0.1 wrote whole paths; files that were moved keep their sizes and times.
            old = [was for was in entries if was == name or (ending and was.startswith("/") and was.endswith(ending))]
            if len(old) != 1 and Path(name).is_absolute() and Path(name).is_dir():
                stamps = Checkpoint(name, kind, Path(name)).stamps()
                old = [was for was, entry in entries.items() if stamps and entry["files"] == stamps]
            if len(old) == 1:
                self._rename(old[0], name, kind)
        found: dict[str, Any] | None = self._data[kind].get(called)
        return found

    def _rename(self, old: str, name: str, kind: Kind) -> None:
        """Call a checkpoint by a new name; by both, where the old one is another copy of it."""
        called = self.name(name)
        if Path(self.path(old)).is_dir():
            self._data[kind][called] = copy.deepcopy(self._data[kind][old])
            return
        self._data[kind] = {called if was == old else was: entry for was, entry in self._data[kind].items()}
        if kind == "model" and self._data.get("current") == old:
            self._data["current"] = called

    def _keep_model_config(self, entry: dict[str, Any]) -> None:
        """Remember what the model was used as, before it is used otherwise."""
        if entry.get("recipe"):
            old = {"identity": entry["identity"], **entry["recipe"]}
            entry["earlier"] = [*(other for other in entry.get("earlier", ()) if other != old), old]

    def _commit(self, name: str, kind: Kind) -> str | None:
        """The commit of the hub that a book stays at."""
        entry = self._entry(name, kind)
        return entry["identity"].partition("@")[2] if entry and entry["identity"].startswith("hub:") else None
