"""The commands that show a book and clean up its folder: plan, status, clean."""

import json
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from maya_batch.book.book_lexicon import lexicon_use
from maya_batch.book.leftovers import left_over
from maya_batch.book.machine_speed import saved_speed
from maya_batch.book.model_lock import ModelConfig
from maya_batch.book.output_files import hidden_folder
from maya_batch.book.overview import Description, describe
from maya_batch.book.ownership import refuse_other_book
from maya_batch.book.plan import Plan, make_plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, book_state
from maya_batch.book.text_changes import change_lines, chunk_lines, counts, summary
from maya_batch.cli.options import Book, BookFlags, Json, MachineFlags, Output, takes_flags
from maya_batch.errors import UsageError
from maya_batch.manifest import Render
from maya_batch.messages.plural import plural
from maya_batch.messages.printable import printable
from maya_batch.messages.standard_streams import check_shown

log = logging.getLogger(__name__)


@takes_flags("machine_flags", MachineFlags, "config", "dtype", "quantization", "kv_cache", "decoding")
@takes_flags("book_flags", BookFlags, "model", "allow_unknown_tags", "allow_language")
def plan(
    book: Book,
    book_flags: BookFlags,
    machine_flags: MachineFlags,
    output: Output = None,
    chunks: Annotated[bool, typer.Option("--chunks", help="Show each chunk instead: voice, source and text.")] = False,
    show_text: Annotated[
        bool, typer.Option("--show-text", help="Show instead what is spoken in another form than written.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show chapters, chunks, expected length and mistakes without rendering.

    It needs no model, and also shows words, tokens, disk space and, after `bench`, the expected rendering time. With
    `--chunks` it shows each chunk, with `--show-text` each change of the text with its rule, with both of them both.
    """
    machine = machine_flags.machine()
    state = _look(book, output, book_flags, machine, any_language=False)
    if chunks or show_text:
        _print_texts(state.plan, chunks, show_text, as_json)
        refuse_other_book(state)
        return
    speed = saved_speed(state.plan.sound.model)
    _print(describe(state, machine, takes=False, speed=speed), as_json)
    refuse_other_book(state)
    if speed is None and not as_json and any(state.needs_take(chunk) for chunk in state.plan.chunks()):
        log.info("the rendering speed of this machine is not known; run `maya-batch bench` to measure it")


@takes_flags("machine_flags", MachineFlags, "config", "dtype", "quantization", "kv_cache", "decoding")
@takes_flags("book_flags", BookFlags, "model", "allow_unknown_tags")
def status(
    book: Book,
    book_flags: BookFlags,
    machine_flags: MachineFlags,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Show what is rendered, which chunks have problems, and which files are left over.

    It needs no model, and also shows where each character of the book is.
    """
    machine = machine_flags.machine()
    state = _look(book, output, book_flags, machine)
    _print(describe(state, machine, takes=True), as_json)
    refuse_other_book(state)


@takes_flags("machine_flags", MachineFlags, "config", "dtype", "quantization", "kv_cache", "decoding")
@takes_flags("book_flags", BookFlags, "model")
def clean(
    book: Book,
    book_flags: BookFlags,
    machine_flags: MachineFlags,
    output: Output = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    other_book: Annotated[
        list[str] | None,
        typer.Option(
            help="Manifest of another book in this folder, whose takes stay; `none` if there is no other book."
        ),
    ] = None,
    forget: Annotated[
        list[str] | None,
        typer.Option(help="Also remove the takes of this model config, named as `status` shows it."),
    ] = None,
) -> None:
    """List files and takes that the book no longer uses, ask, and remove them.

    These are files of renamed or removed chapters, and takes that match no chunk. Takes of every model config that
    the book had are kept.
    """
    from maya_batch.book.run_lock import lock_book
    from maya_batch.book.take_store import unlink_all
    from maya_batch.run.loading import refuse_other_config

    flags, machine = replace(book_flags, allow_unknown_tags=True), machine_flags.machine()
    hidden = hidden_folder(_look(book, output, flags, machine).folder)
    if not hidden.is_dir():
        print("nothing to remove")
        return
    with lock_book(hidden):
        # Another run may have rendered the book meanwhile, also with another model config or after an edit.
        state = book_state(flags.planned_again(book, output), machine, output)
        refuse_other_book(state)
        refuse_other_config(state)
        forgotten = [_model_config(state, text) for text in forget or ()]
        others = None if other_book is None else [_other(name, state) for name in other_book if name != "none"]
        left = left_over(state, others, forgotten)
        for name in left.absent:
            log.warning("the version of model %s that the book uses is not on this machine; no takes are listed", name)
        if left.withheld:
            log.warning(
                "not listed: %s (takes, chapters) that may belong to another book in this folder; to list them, name "
                "that book, whose takes are kept, with --other-book MANIFEST, or use --other-book none",
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
        except typer.Abort:  # there is no answer
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
    """The earlier model config of the book that `text` names, as `--forget` takes it: model name and config.

    Raises:
        UsageError: `text` names no config, or the one that the book is rendered with now.
    """
    pinned = state.lock.pinned()
    known = {
        f"{name},{model_config}": (name, model_config)
        for name, model_config in state.lock.configs()
        if (name, model_config) != pinned
    }
    if text not in known:
        raise UsageError(
            f"--forget {text}: this book has no such earlier model config; known: {', '.join(known) or 'none'}"
        )
    return known[text]


def _other(name: str, state: BookState) -> BookState:
    """The state of another book that was rendered into this book's folder."""
    other = book_state(
        make_plan(Path(name), Render(), allow_unknown_tags=True, allow_language=True, output=state.folder),
        Machine(),
        state.folder,
    )
    other.lock = state.lock  # it names models by their path from this book's folder
    return other


def _look(
    book: Path, output: Path | None, book_flags: BookFlags, machine: Machine, any_language: bool = True
) -> BookState:
    """The state of a book on disk; nothing is written."""
    return book_state(book_flags.plan(book, output, any_language), machine, output)


def _print_texts(plan: Plan, chunks: bool, changes: bool, as_json: bool) -> None:
    """Print the chunks, the changes of the text, or both."""
    chunk_list = chunk_lines(plan) if chunks else []
    change_list = change_lines(plan) if changes else []
    use = lexicon_use(plan.manuscript, plan.lexicon, plan.chunks()) if changes else None
    if as_json:
        data: dict[str, object] = {"chunks": [asdict(chunk) for chunk in chunk_list]} if chunks else {}
        if changes:
            data["changes"] = [asdict(change) for change in change_list]
            data["counts"] = counts(change_list)
            data["lexicon"] = None if use is None else asdict(use)
        print(json.dumps(data, indent=2))
        return
    lines = [line for chunk in chunk_list for line in chunk.lines()]
    if changes:
        lines += [*map(str, change_list), summary(change_list)]
        lines += [] if use is None else use.lines()
    print("\n".join(map(printable, lines)))


def _print(description: Description, as_json: bool) -> None:
    # In ASCII: valid JSON whatever the encoding of the terminal, and no control characters reach it.
    lines = [json.dumps(asdict(description), indent=2)] if as_json else map(printable, description.lines())
    print("\n".join(lines))
