"""Whether a book may be written into its folder as it is asked for: before anything is written there."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from maya_batch.book.ownership import check_folder
from maya_batch.book.plan import Plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, asked_model_config, book_state
from maya_batch.errors import MachineError
from maya_batch.run.loading import refuse_other_config


@dataclass(frozen=True)
class TakeOver:
    """What a person has allowed that is refused else."""

    adopt: bool = False
    """To write into a folder that belongs to another book, which loses it."""
    switch_config: bool = False
    """To render the whole book again with another model config."""
    upgrade_text: bool = False
    """To follow the newest rules for texts and audio from now on."""


def writable_state(
    plan: Plan, machine: Machine, output: Path | None = None, take_over: TakeOver | None = None
) -> BookState:
    """What is on the disk of a book that may be written there.

    Raises:
        UsageError: as `render_book` has it.
        MachineError: a file of the folder `.maya` is not what it should be.
    """
    allowed = take_over or TakeOver()
    state = book_state(plan, machine, output)
    if state.model_config is None and state.lock.begun:
        with suppress(MachineError):  # then it is no model of this book's
            state.lock.recognize(plan.sound.model)
        state.model_config = asked_model_config(state.lock.model_config(plan.sound.model), machine)
    check_folder(state, allowed.adopt)
    if not allowed.switch_config:
        refuse_other_config(state)
    return state
