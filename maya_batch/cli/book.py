"""The commands that look at a book: plan, status, clean."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from maya_batch.bench.figures import bench_key, saved_speed
from maya_batch.cli.options import (
    AllowTags,
    Book,
    Config,
    DecodingName,
    Dtype,
    Json,
    Model,
    Output,
    Quantization,
    begin,
    machine_of,
)
from maya_batch.errors import UsageError
from maya_batch.state import BookState, book_state, hidden_folder
from maya_batch.summary import Description, describe

log = logging.getLogger(__name__)


def plan(
    book: Book,
    output: Output = None,
    config: Config = None,
    model: Model = None,
    dtype: Dtype = None,
    quantization: Quantization = None,
    decoding: DecodingName = None,
    allow_unknown_tags: AllowTags = False,
    as_json: Json = False,
) -> None:
    """Say what a book comes to.

    Before anything is rendered: chapters, chunks, words, minutes, disk, mistakes.
    """
    state = _look(book, output, config, model, dtype, quantization, decoding, allow_unknown_tags)
    speed = saved_speed(bench_key(state.plan.sound.model))
    _print(describe(state, takes=False, speed=speed), as_json)
    if speed is None and not as_json and any(state.needs_take(chunk) for chunk in state.plan.chunks()):
        log.info("how long rendering takes here is not known yet; `maya-batch bench` measures it")


def status(
    book: Book,
    output: Output = None,
    config: Config = None,
    model: Model = None,
    dtype: Dtype = None,
    quantization: Quantization = None,
    decoding: DecodingName = None,
    allow_unknown_tags: AllowTags = False,
    as_json: Json = False,
) -> None:
    """Say what is rendered.

    What is not, what has problems, and which files are left over.
    """
    state = _look(book, output, config, model, dtype, quantization, decoding, allow_unknown_tags)
    _print(describe(state, takes=True), as_json)


def clean(
    book: Book,
    output: Output = None,
    config: Config = None,
    model: Model = None,
    dtype: Dtype = None,
    quantization: Quantization = None,
    decoding: DecodingName = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove what the book no longer has.

    Files of chapters that were renamed or removed, and takes of no chunk, after showing them.
    """
    from maya_batch.audio.export import part_files
    from maya_batch.book_lock import hold_book
    from maya_batch.store import unlink_all

    state = _look(book, output, config, model, dtype, quantization, decoding, True)
    if not hidden_folder(state.folder).is_dir():
        print("nothing to remove")
        return
    with hold_book(hidden_folder(state.folder)):
        stale = [*state.stale_files(), *part_files(state.folder)]
        takes = state.unused_takes()
        for path in [*stale, *takes]:
            print(path)
        if not stale and not takes:
            print("nothing to remove")
            return
        try:
            sure = yes or typer.confirm(f"remove these {len(stale)} audio files and {len(takes)} takes?")
        except typer.Abort:  # nobody is there to answer
            sure = False
        if not sure:
            raise UsageError("nothing was removed")
        print(f"removed, {unlink_all([*stale, *takes]) / 2**20:.1f} MiB freed")


def _look(
    book: Path,
    output: Path | None,
    config: str | None,
    model: str | None,
    dtype: str | None,
    quantization: str | None,
    decoding: str | None,
    allow_unknown_tags: bool,
) -> BookState:
    """A book and what is on the disk of it, without touching anything."""
    made = begin(book, model, None, allow_unknown_tags, False, False, None)
    return book_state(made, machine_of(config, None, None, dtype, quantization, None, decoding), output)


def _print(description: Description, as_json: bool) -> None:
    print(json.dumps(asdict(description), ensure_ascii=False, indent=2) if as_json else str(description))
