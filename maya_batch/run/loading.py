"""The engine of a book: loaded as the book was begun, or as is asked for, and pinned."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean
from typing import TYPE_CHECKING

from maya_batch.book.chunk import Chunk
from maya_batch.book.model_lock import ModelConfig
from maya_batch.book.settings import Machine, Sound
from maya_batch.book.state import BookState, asked_model_config
from maya_batch.engine.api import Decoding, Engine, Request
from maya_batch.engine.load import load_engine
from maya_batch.errors import MachineError, UsageError
from maya_batch.text.emotion_tags import TAG

if TYPE_CHECKING:
    from maya_batch.audio.snac_codec import Codec

log = logging.getLogger(__name__)

#: Under this probability that a free draw keeps to its slot, a frame's order is no property of the model.
LEAST_IN_GRAMMAR = 0.9


EngineLoader = Callable[..., Engine]
"""`engine.load.load_engine`, or a function that takes the same arguments."""


def start_engine(
    state: BookState,
    machine: Machine,
    waiting: Sequence[Chunk],
    check_tags: bool,
    switch: bool = False,
    engine_loader: EngineLoader | None = None,
) -> Engine:
    """The engine for the chunks that wait; the book's model config is settled and written to its model.lock.

    Without `switch` the book stays at the one it has.

    Raises:
        MachineError: the model is not on this machine, not what the book was begun with, or does not load so here.
        UsageError: a tag of these chunks is none of the checkpoint's, and `check_tags` is on.
    """
    model = state.plan.sound.model
    before = state.lock.model_config(model)
    engine, model_config = load_book_engine(state, machine, waiting, check_tags, switch, engine_loader)
    if before is not None and model_config != before and not switch:
        raise MachineError(f"{state.folder}: {model} loads here with {model_config}, {_advice(before)}")
    state.model_config = model_config
    pin_config(state)
    return engine


def pin_config(state: BookState) -> None:
    """Keep in model.lock what the book is rendered with from now on.

    Raises:
        MachineError: the disk does not take it.
    """
    if state.model_config is not None:
        state.lock.pin(state.plan.sound.model, state.model_config)
        state.lock.save()


def refuse_other_config(state: BookState) -> None:
    """Let a book be rendered with one model config only: with another one all of its takes would be others.

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
    raise UsageError(
        f"{state.folder}: this book is rendered with {begun}, and this would be {asked}; leave out --model, --dtype, "
        "--quantization, --decoding and a --config that sets them, or add --switch-model-config to `render` to render "
        "the whole book again so (the takes there are stay, and are used again when it is switched back)"
    )


def _advice(model_config: ModelConfig) -> str:
    return (
        f"and this book is rendered with {model_config}; render it on a machine that can do that, or add "
        "--switch-model-config and other --dtype, --quantization or --decoding to render the whole book again so"
    )


def load_book_engine(
    state: BookState,
    machine: Machine,
    chunks: Sequence[Chunk],
    check_tags: bool,
    switch: bool = False,
    engine_loader: EngineLoader | None = None,
) -> tuple[Engine, ModelConfig]:
    """The engine for these chunks of a book, and the model config it renders them with; nothing is written.

    With `switch` a checkpoint may be another one than the book was begun with.

    Raises:
        MachineError, UsageError: as `start_engine` has them.
    """
    sound = state.plan.sound
    checkpoint = state.lock.find(sound.model, "model")
    asked = asked_model_config(state.lock.model_config(sound.model), machine)
    # Beside the loading: reading all of a model once more takes seconds.
    with ThreadPoolExecutor(1) as pool:
        same = pool.submit(state.lock.locate, sound.model, "model", switch)
        try:
            engine = (engine_loader or load_engine)(
                machine.engine,
                checkpoint.folder,
                device=machine.device,
                dtype=asked.dtype if asked else machine.dtype,
                quantization=(asked.quantization if asked else machine.quantization) or "none",
                batch_size=machine.batch_size,
            )
        except MachineError as error:
            if asked is None or asked != state.lock.model_config(sound.model):
                raise
            raise MachineError(f"{error}, {_advice(asked)}") from error
        same.result()
    if engine.layout != state.plan.layout:
        raise MachineError(f"{checkpoint.folder}: its token layout has changed; run again")
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
    )
    return engine, model_config


def load_book_codec(state: BookState, machine: Machine, switch: bool = False) -> "Codec":
    """The codec of a book, pinned; with `switch` another one than the book was begun with may be.

    Raises:
        MachineError: it is not on this machine, not what the book was begun with, or does not load.
    """
    from maya_batch.audio.snac_codec import load_codec
    from maya_batch.engine.device import choose_device

    name = state.plan.sound.codec
    checkpoint = state.lock.locate(name, "codec", switch)
    codec = load_codec(checkpoint.folder, state.plan.layout, choose_device(machine.device))
    state.codec = state.lock.identity(name, "codec")
    state.lock.save()
    return codec


def choose_decoding(engine: Engine, requests: Sequence[Request], sound: Sound, machine: Machine) -> Decoding:
    """Framed or free: as the machine's settings say, or as the model's first frames show."""
    if machine.decoding != "auto":
        return machine.decoding
    mass = fmean(engine.in_grammar_probabilities(requests, sound.sampling))
    decoding = decoding_for(mass)
    if decoding == "framed":
        return decoding
    log.warning(
        "a free draw of this model keeps to the slots of a frame with a probability of %.2f only, not %.1f: "
        "decoding freely, and each frame is checked",
        *(mass, LEAST_IN_GRAMMAR),
    )
    return decoding


def decoding_for(in_grammar_probability: float) -> Decoding:
    """Framed or free, by the mean over the slots."""
    return "framed" if in_grammar_probability >= LEAST_IN_GRAMMAR else "free"


def _refuse_unknown_tags(engine: Engine, chunks: Sequence[Chunk]) -> None:
    """A tag that is not one token of this checkpoint would be read aloud."""
    known = set(engine.tags())
    for chunk in chunks:
        for tag in TAG.findall(chunk.text):
            if tag.strip("</>") not in known:
                raise UsageError(
                    f"chunk {chunk.ref}: this checkpoint has no token for {tag} and would read it aloud; take it "
                    "out, or say --allow-unknown-tags"
                )
