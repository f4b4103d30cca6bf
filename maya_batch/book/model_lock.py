"""model.lock: pins the model, its config and the codec of a book at the first render.

Later runs read the file and hash nothing. A checkpoint folder that has changed, or a hub branch that has moved, is
detected when the model is loaded, so a book never mixes takes of two models.
"""

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maya_batch.book.model_lock_file import read_lock, write_lock
from maya_batch.checkpoint.locate import Checkpoint, Kind, cached_commit, find_checkpoint, is_gguf
from maya_batch.errors import MachineError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelConfig:
    """Everything about a model that shapes the codes: part of every chunk's key."""

    model: str
    """Its identity: `hub:<repository>@<commit>` or `sha256:<digest of the folder or the .gguf file>`."""
    dtype: str
    quantization: str
    decoding: str
    kv_cache: str = "model"
    """The format of keys and values: `model`, as the model computes, or `int8`."""

    def __str__(self) -> str:
        return ",".join(self.recipe.values())

    @property
    def recipe(self) -> dict[str, str]:
        """The fields besides the identity, as keys of chunks and model.lock have them.

        `kv_cache` is one of them only if it is not `model`: books that were begun before it existed do not have it.
        """
        fields = {"dtype": self.dtype, "quantization": self.quantization, "decoding": self.decoding}
        return fields if self.kv_cache == "model" else fields | {"kv_cache": self.kv_cache}


class ModelLock:
    """The file `model.lock` of one book.

    A model in the manifest's folder, be it a folder or a .gguf file, is named `./` and its path there, so that the book
    can be moved.
    """

    def __init__(self, path: Path, base: Path | None = None) -> None:
        """`base` is the manifest's folder, resolved."""
        self._path, self._base = path, base
        self._data = read_lock(path)

    @property
    def begun(self) -> bool:
        """Whether the book was ever rendered."""
        return bool(self.models())

    def model_config(self, model: str) -> ModelConfig | None:
        """The model config that the book was rendered with, for the model of this name; None if it never was."""
        entry = self._entry(model, "model")
        return ModelConfig(entry["identity"], **entry["recipe"]) if entry and entry.get("recipe") else None

    def codec(self, codec: str) -> str | None:
        """The identity of the codec of this name; None if the book was never decoded with it."""
        entry = self._entry(codec, "codec")
        return entry["identity"] if entry else None

    def models(self) -> list[str]:
        """The names of the models that the book was rendered with."""
        return [name for name, entry in self._data["model"].items() if entry.get("recipe")]

    def pinned(self) -> tuple[str, ModelConfig] | None:
        """The name and config of the model that the book is rendered with now.

        None for a book that was never rendered, and for one that version 0.1 rendered with several models.
        """
        names = self.models()
        name = self._data.get("current", names[0] if len(names) == 1 else None)
        model_config = None if name is None else self.model_config(name)
        return None if name is None or model_config is None else (name, model_config)

    def configs(self) -> list[tuple[str, ModelConfig]]:
        """All model configs that the book was ever rendered with, with the model's name; each may have takes."""
        found = []
        for name, entry in self._data["model"].items():
            now = [entry["recipe"] | {"identity": entry["identity"]}] if entry.get("recipe") else []
            for values in (*now, *entry.get("earlier", ())):
                fields = {key: value for key, value in values.items() if key != "identity"}
                found.append((name, ModelConfig(values["identity"], **fields)))
        return found

    def name(self, model: str) -> str:
        """The name of a model in this file: `./` and its path inside the manifest's folder, else its name unchanged."""
        path = Path(model)
        if self._base is None or not path.is_absolute() or not path.is_relative_to(self._base):
            return model
        return f"./{path.relative_to(self._base)}"

    def path(self, name: str) -> str:
        """The reverse of `name`: the name that finds a model on this disk."""
        return str(self._base / name) if self._base is not None and name.startswith("./") else name

    def find(self, name: str, kind: Kind) -> Checkpoint:
        """The checkpoint of this name, without a check that it is unchanged since the book was started.

        Raises:
            MachineError: it is not on this machine.
        """
        return find_checkpoint(name, kind, self._commit(name, kind))

    def is_as_pinned(self, name: str, kind: Kind) -> bool:
        """Whether a checkpoint is unchanged since the book was started; it is hashed only if its files were touched.

        Raises:
            MachineError: it is not on this machine.
        """
        entry, checkpoint = self._entry(name, kind), self.find(name, kind)
        if entry is None or checkpoint.revision is not None or checkpoint.stamps() == entry["files"]:
            return True
        return bool(checkpoint.identity() == entry["identity"])

    def recognize(self, model: str) -> None:
        """Rename a model in this file if its bytes are those of a model that the book was started with.

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
        """The checkpoint of this name, as pinned; it is pinned now if it was not yet.

        With `switch`, a checkpoint that has changed is pinned in place of the old one.

        Raises:
            MachineError: it is not on this machine, or has changed since the book was started.
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
                log.warning("%s is now at revision %s; this book stays at %s", name, branch, pinned)
        elif checkpoint.stamps() != entry["files"]:
            identity = checkpoint.identity()
            if identity != entry["identity"]:
                if not switch:
                    raise MachineError(
                        f"{kind} {name} has changed since this book was started; restore the old files, or add "
                        "--switch-model-config to render the book with the new ones"
                    )
                self._keep_model_config(entry)
                entry.pop("kv_cache_trial", None)  # it was of the old weights
                entry["identity"] = identity
            entry["files"] = checkpoint.stamps()
        return checkpoint

    def identity(self, name: str, kind: Kind) -> str:
        """The identity of a checkpoint; `locate` has pinned it."""
        return str(self._data[kind][self.name(name)]["identity"])

    def pin(self, model: str, model_config: ModelConfig) -> None:
        """Render the book with this model and model config from now on; the earlier ones stay on record."""
        name = self.name(model)
        entry = self._data["model"][name]
        values = model_config.recipe
        if entry.get("recipe") not in (None, values):
            self._keep_model_config(entry)
        entry["recipe"] = values
        now = values | {"identity": entry["identity"]}
        entry["earlier"] = [old for old in entry.get("earlier", ()) if old != now]
        if not entry["earlier"]:
            del entry["earlier"]
        if len(self.models()) > 1 or "current" in self._data:
            self._data["current"] = name

    def record_trial(self, model: str, trial: Mapping[str, str | float]) -> None:
        """Record what decided the KV cache of this model: figures by name, and the format as `kv_cache`."""
        self._data["model"][self.name(model)]["kv_cache_trial"] = dict(trial)

    def trial(self, model: str) -> dict[str, Any] | None:
        """What `record_trial` recorded for this model; None without a trial."""
        entry = self._entry(model, "model")
        return dict(entry["kv_cache_trial"]) if entry and "kv_cache_trial" in entry else None

    def forget(self, model: str, model_config: ModelConfig) -> None:
        """Remove a model config from the record; not for the one that is pinned."""
        entry = self._data["model"][model]
        values = model_config.recipe
        entry["earlier"] = [old for old in entry.get("earlier", ()) if old != values | {"identity": model_config.model}]
        if entry.get("recipe") == values and entry["identity"] == model_config.model:
            del entry["recipe"]

    def save(self) -> None:
        """Write the file, whole or not at all, if it has changed.

        Raises:
            MachineError: it cannot be written.
        """
        write_lock(self._path, self._data)

    def _entry(self, name: str, kind: Kind) -> dict[str, Any] | None:
        """The entry of a checkpoint, or None; an entry whose checkpoint was moved is renamed."""
        called, entries = self.name(name), self._data[kind]
        if called not in entries:
            ending = called.removeprefix(".") if called.startswith("./") else None
            # Version 0.1 wrote absolute paths; files that were moved keep their sizes and times.
            old = [was for was in entries if was == name or (ending and was.startswith("/") and was.endswith(ending))]
            if len(old) != 1 and Path(name).is_absolute() and _is_there(name):
                stamps = Checkpoint(name, kind, Path(name)).stamps()
                old = [was for was, entry in entries.items() if _same_stamps(name, stamps, was, entry["files"])]
            if len(old) == 1:
                self._rename(old[0], name, kind)
        found: dict[str, Any] | None = self._data[kind].get(called)
        return found

    def _rename(self, old: str, name: str, kind: Kind) -> None:
        """Rename a checkpoint; if one still exists under the old name, keep both names."""
        called = self.name(name)
        if _is_there(self.path(old)):
            self._data[kind][called] = copy.deepcopy(self._data[kind][old])
            return
        self._data[kind] = {called if was == old else was: entry for was, entry in self._data[kind].items()}
        if kind == "model" and self._data.get("current") == old:
            self._data["current"] = called

    def _keep_model_config(self, entry: dict[str, Any]) -> None:
        """Record the current model config of an entry as an earlier one."""
        if entry.get("recipe"):
            old = {"identity": entry["identity"], **entry["recipe"]}
            entry["earlier"] = [*(other for other in entry.get("earlier", ()) if other != old), old]

    def _commit(self, name: str, kind: Kind) -> str | None:
        """The hub commit that the book is pinned to; None for a checkpoint that is not from the hub."""
        entry = self._entry(name, kind)
        return entry["identity"].partition("@")[2] if entry and entry["identity"].startswith("hub:") else None


def _is_there(path: str) -> bool:
    """Whether a checkpoint of this path exists: a folder, or the file of a name that ends in .gguf."""
    return Path(path).is_file() if is_gguf(path) else Path(path).is_dir()


def _same_stamps(name: str, stamps: dict[str, list[int]], was: str, known: dict[str, list[int]]) -> bool:
    """Whether two checkpoints have files of the same sizes and times; a .gguf file may have another name now."""
    if is_gguf(name) and is_gguf(was):
        return list(stamps.values()) == list(known.values())
    return bool(stamps) and stamps == known
