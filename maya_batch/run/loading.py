"""Loads the engine and the codec of a book, and pins them in its model.lock."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

from maya_batch.audio.waveform_cache import Decoder
from maya_batch.book.chunk import Chunk
from maya_batch.book.model_lock import ModelConfig
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, asked_model_config
from maya_batch.checkpoint.locate import Checkpoint
from maya_batch.checkpoint.token_layout import TokenLayout
from maya_batch.engine.api import Engine, Request
from maya_batch.engine.load import load_engine
from maya_batch.errors import MachineError, UsageError
from maya_batch.quality.transcriber import Transcriber
from maya_batch.run.cache_trial import CacheTrial, try_int8_cache
from maya_batch.run.cluster.messages import EngineSettings
from maya_batch.run.cluster.patience import Patience
from maya_batch.run.decoding_choice import choose_decoding, refuse_int8_cache
from maya_batch.text.emotion_tags import TAG
from maya_batch.wording import models_flag, rendered_with

log = logging.getLogger(__name__)


def _load_codec(folder: Path, layout: TokenLayout, device: str) -> Decoder:
    import torch

    from maya_batch.audio.snac_codec import load_codec
    from maya_batch.engine.device import choose_device, compute_stream

    target = choose_device(device)
    with torch.cuda.stream(compute_stream(target)):
        return load_codec(folder, layout, target)


class WorkerLoader(Protocol):
    """Loads an engine whose work other processes do."""

    def load(
        self,
        checkpoint: Checkpoint,
        identity: Callable[[], str],
        settings: EngineSettings,
        codec: Callable[[], tuple[Checkpoint, str]],
    ) -> Engine:
        """Load the checkpoint of this identity on all workers, and on those that decode the `codec`, with its identity.

        Raises:
            MachineError, UsageError: no worker loads it.
        """


@dataclass
class Loaders:
    """Where a run gets its engine, codec and transcriber from: benchmarks and tests pass others than the real ones."""

    engine: Callable[..., Engine] = load_engine
    """`engine.load.load_engine`, or a function with the same parameters."""
    codec: Callable[[Path, TokenLayout, str], Decoder] = _load_codec
    """Loads the codec in this folder on this device, for this token layout."""
    transcriber: Callable[..., Transcriber] = Transcriber
    """`quality.transcriber.Transcriber`, or a function with the same parameters."""
    threaded: bool | None = None
    """Whether postprocess and inspect have threads; None: where the model runs on a GPU."""
    workers: WorkerLoader | None = None
    """Loads the engine on several workers, each of which calls `engine`; None: this process does."""
    patience: Patience = field(default_factory=Patience)
    """With workers."""


@dataclass(frozen=True)
class BookEngine:
    """An engine loaded for a book, the book's model config, and the trial of its KV cache, if it begins with one."""

    engine: Engine
    model_config: ModelConfig
    trial: CacheTrial | None = None


def start_engine(
    state: BookState,
    machine: Machine,
    waiting: Sequence[Chunk],
    check_tags: bool,
    loaders: Loaders,
    switch: bool = False,
) -> BookEngine:
    """Load the engine for the waiting chunks, and write the book's model config to its model.lock.

    Without `switch` a model config that the book has is kept.

    Raises:
        MachineError: the model is not on this machine, differs from the book's, or does not load with its model config.
        UsageError: the checkpoint does not know a tag of these chunks, and `check_tags` is on.
    """
    model = state.plan.sound.model
    before = state.lock.model_config(model)
    loaded = load_book_engine(state, machine, waiting, check_tags, loaders, switch)
    if before is not None and loaded.model_config != before and not switch:
        raise MachineError(f"{state.folder}: {model} loads on this machine as {loaded.model_config}; {_advice(before)}")
    state.model_config = loaded.model_config
    if loaded.trial is not None:
        _record_trial(state, loaded, loaded.trial)
    pin_config(state)
    return loaded


def join_engine(
    state: BookState, loaded: BookEngine, waiting: Sequence[Chunk], check_tags: bool, switch: bool = False
) -> None:
    """Render a book with the engine and the model config that another book began with, which are its own, too.

    What was found out about the model at that book's first frames holds for this one, and is written to its model.lock.

    Raises:
        MachineError, UsageError: as `start_engine`.
    """
    model = state.plan.sound.model
    state.lock.locate(model, "model", switch)
    if state.lock.identity(model, "model") != loaded.model_config.model or loaded.engine.layout != state.plan.layout:
        raise MachineError(f"model {model} changed while the run started; run it again")
    if check_tags:
        _refuse_unknown_tags(loaded.engine, waiting)
    begun = state.lock.model_config(model) is not None
    state.model_config = loaded.model_config
    if loaded.trial is not None and not begun:
        _record_trial(state, loaded, loaded.trial)
    pin_config(state)


def pin_config(state: BookState) -> None:
    """Write to model.lock what the book is rendered with from now on.

    Raises:
        MachineError: the file cannot be written.
    """
    if state.model_config is not None:
        state.lock.pin(state.plan.sound.model, state.model_config)
        state.lock.save()


def _record_trial(state: BookState, loaded: BookEngine, trial: CacheTrial) -> None:
    figures = asdict(trial.rounding) | {"kv_cache": loaded.model_config.kv_cache}
    state.lock.record_trial(state.plan.sound.model, figures)


def refuse_other_config(state: BookState) -> None:
    """Refuse another model config than the book's: none of its takes could be used with it.

    Raises:
        UsageError: the model, number format, quantization or decoding asked for is not the one in its model.lock.
    """
    if not state.lock.begun:
        return
    model = state.lock.name(state.plan.sound.model)
    pinned = state.lock.pinned()
    model_config = state.lock.model_config(model)
    if pinned is None and model_config is not None:
        pinned = model, model_config  # one of several that version 0.1 let a book have
    if pinned is not None and pinned[1] == state.model_config:
        return
    begun = " or ".join(state.lock.models()) if pinned is None else f"{pinned[0]},{pinned[1]}"
    asked = model if state.model_config is None else f"{model},{state.model_config}"
    mend = "remove --model, --dtype, --quantization, --decoding, --kv-cache and a --config that sets them"
    if pinned is not None and pinned[0] != model:
        mend = models_flag(state.lock.path(pinned[0]))
    raise UsageError(
        f"{rendered_with(state.folder, begun, asked)}; {mend}. To render the whole book again with the new settings, "
        "add --switch-model-config to `render`; the existing takes are kept, and used again when you switch back."
    )


def _advice(model_config: ModelConfig) -> str:
    return (
        f"this book is rendered with {model_config}. Use a machine that supports it, or add --switch-model-config with "
        "another --dtype, --quantization or --decoding to render the whole book again."
    )


def load_book_engine(
    state: BookState,
    machine: Machine,
    chunks: Sequence[Chunk],
    check_tags: bool,
    loaders: Loaders,
    switch: bool = False,
) -> BookEngine:
    """Load the engine for these chunks of a book. Nothing is written.

    With `switch` the checkpoint may differ from the one that the book was begun with. Where the engine offers a KV
    cache in 8 bits and neither the book nor the settings say which, it is tried on the first of the chunks.

    Raises:
        MachineError, UsageError: as `start_engine`.
    """
    sound = state.plan.sound
    checkpoint = state.lock.find(sound.model, "model")
    asked = asked_model_config(state.lock.model_config(sound.model), machine)
    settings = EngineSettings.of(machine)
    if asked is not None:
        settings = replace(settings, dtype=asked.dtype, quantization=asked.quantization, kv_cache=asked.kv_cache)
    # The checkpoint is compared with model.lock while it loads: reading all of its files takes seconds.
    with ThreadPoolExecutor(1) as pool:
        same = pool.submit(state.lock.locate, sound.model, "model", switch)

        def pinned_identity() -> str:
            same.result()
            return state.lock.identity(sound.model, "model")

        def codec() -> tuple[Checkpoint, str]:
            found = state.lock.find(sound.codec, "codec")  # whether it is the pinned one, `load_book_codec` checks
            return found, found.identity()

        try:
            engine = _load_engine(loaders, checkpoint, pinned_identity, settings, codec)
        except MachineError as error:
            if asked is None or asked != state.lock.model_config(sound.model):
                raise
            raise MachineError(f"{error}; {_advice(asked)}") from error
        same.result()
    if engine.layout != state.plan.layout:
        raise MachineError(f"{checkpoint.path}: the token layout changed while the run started; run it again")
    if check_tags:
        _refuse_unknown_tags(engine, chunks)
    identity = state.lock.identity(sound.model, "model")
    probes = [
        Request(chunk.ref, chunk.description, chunk.text, 0, chunk.max_frames, chunk.expected_frames)
        for chunk in chunks
    ]
    known = (
        asked.decoding if asked and (asked.dtype, asked.quantization) == (engine.dtype, engine.quantization) else None
    )
    model_config = ModelConfig(
        identity,
        engine.dtype,
        engine.quantization,
        known or choose_decoding(engine, probes, sound, machine),
        engine.kv_cache,
    )
    refuse_int8_cache(engine, model_config.decoding)
    undecided = asked is None and machine.kv_cache == "auto" and model_config.decoding == "framed"
    if not undecided or not engine.offers_int8_cache:
        return BookEngine(engine, model_config)
    trial = try_int8_cache(engine, chunks, model_config, sound)
    return BookEngine(engine, replace(model_config, kv_cache=engine.kv_cache), trial)


def _load_engine(
    loaders: Loaders,
    checkpoint: Checkpoint,
    identity: Callable[[], str],
    settings: EngineSettings,
    codec: Callable[[], tuple[Checkpoint, str]],
) -> Engine:
    if loaders.workers is not None:
        return loaders.workers.load(checkpoint, identity, settings, codec)
    return settings.load(loaders.engine, checkpoint.path)


def load_book_codec(state: BookState, machine: Machine, loaders: Loaders, switch: bool = False) -> Decoder:
    """The codec of a book, pinned; with `switch` it may differ from the one that the book was begun with.

    Raises:
        MachineError: it is not on this machine, not what the book was begun with, or does not load.
    """
    name = state.plan.sound.codec
    codec = loaders.codec(state.lock.locate(name, "codec", switch).path, state.plan.layout, machine.device)
    state.codec = state.lock.identity(name, "codec")
    state.lock.save()
    return codec


def unknown_tag(engine: Engine, text: str) -> str | None:
    """The first tag of a text that is not one token of this checkpoint, which would read it aloud."""
    known = set(engine.tags())
    return next((tag for tag in TAG.findall(text) if tag.strip("</>") not in known), None)


def _refuse_unknown_tags(engine: Engine, chunks: Sequence[Chunk]) -> None:
    for chunk in chunks:
        if (tag := unknown_tag(engine, chunk.text)) is not None:
            raise UsageError(
                f"chunk {chunk.ref}: this checkpoint has no token for {tag} and would read it aloud; remove the tag, "
                "or add --allow-unknown-tags"
            )
