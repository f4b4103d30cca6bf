"""Checks whether a book may be written into a folder, before anything is written there."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from maya_batch.book.ownership import check_folder
from maya_batch.book.plan import Plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, asked_model_config, book_state
from maya_batch.errors import MachineError, UsageError
from maya_batch.run.loading import refuse_other_config


@dataclass(frozen=True)
class TakeOver:
    """What a person has allowed by flags, and is refused otherwise."""

    adopt: bool = False
    """Write into a folder that belongs to another book; that book loses it."""
    switch_config: bool = False
    """Render the whole book again with another model config."""
    upgrade_text: bool = False
    """Follow the newest rules for texts and audio from now on."""


def writable_state(
    plan: Plan, machine: Machine, output: Path | None = None, take_over: TakeOver | None = None
) -> BookState:
    """The state of a book that may be written there.

    Raises:
        UsageError: as `render_book`.
        MachineError: a file in `.maya` is damaged.
    """
    allowed = take_over or TakeOver()
    state = book_state(plan, machine, output)
    if state.model_config is None and state.lock.begun:
        with suppress(MachineError):  # the book was not begun with this model
            state.lock.recognize(plan.sound.model)
        state.model_config = asked_model_config(state.lock.model_config(plan.sound.model), machine)
    for kind, begun, planned in zip(("text", "audio"), state.rules, (plan.text_rules, plan.audio_rules), strict=True):
        if begun != planned and not allowed.upgrade_text:
            raise UsageError(
                f"{state.folder}: the book was begun with {kind} rules {begun}, and this plan follows rules {planned}; "
                "plan it for this output folder"
            )
    check_folder(state, allowed.adopt)
    if not allowed.switch_config:
        refuse_other_config(state)
    return state
