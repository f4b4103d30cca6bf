"""The commands that look at a book: plan, status, clean."""

import json
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from maya_batch.book.leftovers import left_over
from maya_batch.book.machine_speed import saved_speed
from maya_batch.book.model_lock import ModelConfig
from maya_batch.book.overview import Description, describe
from maya_batch.book.ownership import refuse_other_book
from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, book_state, hidden_folder
from maya_batch.cli.options import Book, BookFlags, Json, MachineFlags, Output, takes_flags
from maya_batch.errors import UsageError
from maya_batch.manifest import Render
from maya_batch.messages.plural import plural
from maya_batch.messages.printable import printable
from maya_batch.messages.standard_streams import check_shown
from maya_batch.run.loading import refuse_other_config

log = logging.getLogger(__name__)


@takes_flags("machine_flags", MachineFlags, "config", "dtype", "quantization", "decoding")
@takes_flags("book_flags", BookFlags, "model", "allow_unknown_tags", "allow_language")
def plan(
    book: Book,
    book_flags: BookFlags,
    machine_flags: MachineFlags,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Say what a book comes to.

    Before anything is rendered: chapters, chunks, words, minutes, disk, mistakes.
    """
    state = _look(book, output, book_flags, machine_flags, any_language=False)
    speed = saved_speed(state.plan.sound.model)
    _print(describe(state, takes=False, speed=speed), as_json)
    refuse_other_book(state)
    if speed is None and not as_json and any(state.needs_take(chunk) for chunk in state.plan.chunks()):
        log.info("how long rendering takes here is not known yet; `maya-batch bench` measures it")


@takes_flags("machine_flags", MachineFlags, "config", "dtype", "quantization", "decoding")
@takes_flags("book_flags", BookFlags, "model", "allow_unknown_tags")
def status(
    book: Book,
    book_flags: BookFlags,
    machine_flags: MachineFlags,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Say what is rendered.

    What is not, what has problems, and which files are left over.
    """
    state = _look(book, output, book_flags, machine_flags)
    _print(describe(state, takes=True), as_json)
    refuse_other_book(state)


@takes_flags("machine_flags", MachineFlags, "config", "dtype", "quantization", "decoding")
@takes_flags("book_flags", BookFlags, "model")
def clean(
    book: Book,
    book_flags: BookFlags,
    machine_flags: MachineFlags,
    output: Output = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    other_book: Annotated[
        list[str] | None,
        typer.Option(
            help="Another book rendered into this folder, whose takes stay: its manifest; `none` if none was."
        ),
    ] = None,
    forget: Annotated[
        list[str] | None,
        typer.Option(help="A model config, as `status` shows it, whose takes are to be removed, too."),
    ] = None,
) -> None:
    """Remove what the book no longer has.

    Files of chapters that were renamed or removed, and takes of no chunk, after showing them. Takes of all models and
    number formats that the book was rendered with are kept.
    """
    from maya_batch.book.run_lock import lock_book
    from maya_batch.book.take_store import unlink_all

    state = _look(book, output, replace(book_flags, allow_unknown_tags=True), machine_flags)
    hidden = hidden_folder(state.folder)
    if not hidden.is_dir():
        print("nothing to remove")
        return
    refuse_other_book(state)
    refuse_other_config(state)
    forgotten = [_model_config(state, text) for text in forget or ()]
    others = None if other_book is None else [_other(name, state) for name in other_book if name != "none"]
    with lock_book(hidden):
        left = left_over(state, others, forgotten)
        for name in left.absent:
            log.warning("model %s is not here as the book was begun with it, so no takes are listed", name)
        if left.withheld:
            log.warning(
                "not listed: %s (takes, chapters) that may be another book's, rendered into this folder; to list them, "
                "name its manifest, whose own takes stay then: --other-book MANIFEST, or --other-book none",
                plural(left.withheld, "file"),
            )
        for path in [*left.files, *left.takes]:
            print(printable(path))
        if not left.files and not left.takes:
            print("nothing to remove")
            return
        try:
            sure = yes or typer.confirm(
                f"remove {plural(len(left.files), 'audio file')} and {plural(len(left.takes), 'take')}?"
            )
        except typer.Abort:  # nobody is there to answer
            sure = False
        if not sure:
            raise UsageError("nothing was removed")
        check_shown()
        print(f"removed, {unlink_all([*left.files, *left.takes]) / 2**20:.1f} MiB freed")
        if forgotten and not left.absent:
            for name, model_config in forgotten:
                state.lock.forget(name, model_config)
            state.lock.save()


def _model_config(state: BookState, text: str) -> tuple[str, ModelConfig]:
    """What the book was rendered with, as a person names it; not what it is rendered with now."""
    pinned = state.lock.pinned()
    known = {
        f"{name},{model_config}": (name, model_config)
        for name, model_config in state.lock.configs()
        if (name, model_config) != pinned
    }
    if text not in known:
        raise UsageError(
            f"--forget {text}: no earlier model config of this book; there are: {', '.join(known) or 'none'}"
        )
    return known[text]


def _other(name: str, state: BookState) -> BookState:
    """Another book that was rendered into the folder of this one."""
    other = book_state(
        make_plan(Path(name), Render(), allow_unknown_tags=True, allow_language=True), Machine(), state.folder
    )
    other.lock = state.lock  # which calls models by their place beside this book
    return other


def _look(
    book: Path, output: Path | None, book_flags: BookFlags, machine_flags: MachineFlags, any_language: bool = True
) -> BookState:
    """A book and what is on the disk of it, without touching anything."""
    return book_state(book_flags.plan(book, any_language), machine_flags.machine(), output)


def _print(description: Description, as_json: bool) -> None:
    # In ASCII: a terminal that has other letters gets valid JSON too, and nothing that moves its cursor.
    lines = [json.dumps(asdict(description), indent=2)] if as_json else map(printable, description.lines())
    print("\n".join(lines))
