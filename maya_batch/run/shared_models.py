"""Loads models for several books: the engine, the codec and the transcriber of one book serve the next if they can."""

import gc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from maya_batch.audio.waveform_cache import Decoder
from maya_batch.checkpoint.locate import Checkpoint, Kind
from maya_batch.checkpoint.token_layout import TokenLayout
from maya_batch.engine.api import Engine
from maya_batch.errors import MachineError
from maya_batch.quality.transcriber import Transcriber
from maya_batch.run.loading import Loaders


@dataclass(frozen=True)
class _LoadedEngine:
    """An engine, and what it was loaded for."""

    engine: Engine
    name: str
    stamps: dict[str, list[int]]
    path: Path
    settings: dict[str, Any]

    def serves(self, name: str, path: Path, settings: dict[str, Any]) -> bool:
        """Whether loading with these settings would give the same engine."""
        named = {"dtype": self.engine.dtype, "quantization": self.engine.quantization}
        kv_cache = _begins_with(settings["kv_cache"])
        if settings["dtype"] == "auto" != self.settings["dtype"]:
            settings = settings | {"dtype": self._auto_dtype(settings)}
        return (
            (self.name, self.path, self.stamps) == (name, path, _stamps(path, "model"))
            and all(settings[key] in (value, named.get(key)) for key, value in self.settings.items())
            and (kv_cache == self.engine.kv_cache or self.engine.offers_int8_cache)
        )

    def _auto_dtype(self, settings: dict[str, Any]) -> str:
        """The number format that this engine would choose."""
        if self.engine.name != "hf":
            return self.engine.dtype  # there is no choice
        from maya_batch.engine.device import choose_device, choose_dtype

        device = choose_device(settings["device"])
        return str(choose_dtype("auto", device, settings["quantization"])).removeprefix("torch.")


class SharedModels:
    """Keeps one engine, one codec and one transcriber: those that were loaded last."""

    def __init__(self, loaders: Loaders) -> None:
        """`loaders` load what is not kept."""
        self._loaders = loaders
        self._engine: _LoadedEngine | None = None
        self._failed: tuple[tuple[object, ...], list[str]] | None = None
        """What could not be loaded last, and why: the next book does not wait for the same end."""
        self._codec: tuple[tuple[object, ...], Decoder] | None = None
        self._transcriber: tuple[tuple[object, ...], Transcriber] | None = None
        self.loaders = replace(
            loaders, engine=self._load_engine, codec=self._load_codec, transcriber=self._make_transcriber
        )
        """What a book is rendered with."""

    def _load_engine(self, name: str, path: Path, *, kv_cache: str, **settings: Any) -> Engine:
        held = self._engine
        if held is not None and held.serves(name, path, settings | {"kv_cache": kv_cache}):
            if held.engine.kv_cache != _begins_with(kv_cache):
                held.engine.use_kv_cache(_begins_with(kv_cache))
            return held.engine
        self._engine = held = None
        gc.collect()  # its memory goes to the next one
        stamps = _stamps(path, "model")
        known = (name, path, kv_cache, settings, stamps)
        if self._failed is not None and self._failed[0] == known:
            raise MachineError(*self._failed[1])
        try:
            engine = self._loaders.engine(name, path, kv_cache=kv_cache, **settings)
        except MachineError as error:
            self._failed = known, error.lines()
            raise
        self._engine = _LoadedEngine(engine, name, stamps, path, settings)
        return engine

    def _load_codec(self, folder: Path, layout: TokenLayout, device: str) -> Decoder:
        known = (folder, layout, device, _stamps(folder, "codec"))
        if self._codec is None or self._codec[0] != known:
            self._codec = None
            self._codec = known, self._loaders.codec(folder, layout, device)
        return self._codec[1]

    def _make_transcriber(self, *known: Any) -> Transcriber:
        if self._transcriber is None or self._transcriber[0] != known:
            self._transcriber = None
            self._transcriber = known, self._loaders.transcriber(*known)
        return self._transcriber[1]


def _begins_with(kv_cache: str) -> Any:
    """The KV cache of an engine that was loaded with this setting."""
    return "int8" if kv_cache == "int8" else "model"


def _stamps(path: Path, kind: Kind) -> dict[str, list[int]]:
    return Checkpoint(str(path), kind, path).stamps()
