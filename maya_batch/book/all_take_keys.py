"""The keys of a book's takes, for each model config that the book was ever rendered with."""

from collections.abc import Iterator

from maya_batch.book.model_lock import ModelConfig
from maya_batch.book.plan import Plan, plan_manuscript
from maya_batch.book.settings import sound_settings
from maya_batch.book.state import BookState
from maya_batch.checkpoint.locate import DEMO, MAYA1
from maya_batch.errors import MachineError, ManifestError, UsageError
from maya_batch.manifest import Render


def all_keys(state: BookState) -> set[str]:
    """The keys of all chunks of the book as it is now, with any of its model configs."""
    return {key for keys in config_keys(state).values() for key in keys}


def config_keys(state: BookState) -> dict[tuple[str, ModelConfig], set[str]]:
    """The keys of all chunks of the book as it is now, by the name of the model and the model config."""
    plans = {name: list(_plans(state, name)) for name in {name for name, _ in state.lock.configs()}}
    return {
        (name, model_config): {key for plan in plans[name] for key in _keys(state, plan, model_config)}
        for name, model_config in state.lock.configs()
    }


def absent_models(state: BookState) -> list[str]:
    """The models that the book was rendered with and that are not on this machine, or have changed.

    Their chunks are unknown, because a model's context and tags affect where the text is cut. Those of Maya1 are known.
    """
    absent = []
    for name in {name for name, _ in state.lock.configs()}:
        try:
            there = state.lock.is_as_pinned(state.lock.path(name), "model")
        except (MachineError, UsageError):
            there = name.partition("@")[0] == MAYA1
        if not there:
            absent.append(name)
    return sorted(absent)


def _keys(state: BookState, plan: Plan, model_config: ModelConfig) -> Iterator[str]:
    known = plan is state.plan and model_config == state.model_config  # then the state has them cached
    return (state.key(chunk) if known else chunk.key(model_config, plan.sound) for chunk in plan.chunks())


def _plans(state: BookState, name: str) -> Iterator[Plan]:
    """The plans of the book with a model: as named by a flag, and as named by the manifest."""
    plan, manuscript, path = state.plan, state.plan.manuscript, state.lock.path(name)
    current = state.lock.name(plan.sound.model) == name
    if current:
        yield plan
    # The demo voice has its own repetition penalty, which a book may override: flag and manifest give different takes.
    flagged = sound_settings(manuscript.book.render, manuscript.folder, Render().model_copy(update={"model": path}))
    own = sound_settings(manuscript.book.render, manuscript.folder, Render()).model_copy(update={"model": path})
    for sound in (flagged, own) if name == DEMO else () if current else (flagged,):
        if current and sound.sampling == plan.sound.sampling:
            continue
        try:
            yield plan_manuscript(
                manuscript, sound, allow_unknown_tags=True, allow_language=True, rules=plan.text_rules
            )
        except ManifestError:
            continue  # the book as it is now cannot be rendered with this model, so it has no chunks
