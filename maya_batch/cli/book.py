"""The commands on a book: render, plan, status, assemble, clean."""

import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from maya_batch.bench.figures import bench_key, saved_speed
from maya_batch.cli.options import (
    AllowTags,
    BatchSize,
    Book,
    Codec,
    Config,
    DecodingName,
    Device,
    Dtype,
    EngineName,
    Json,
    LogFile,
    MaxMinutes,
    Model,
    Output,
    Quantization,
    Quiet,
    RecognizerDevice,
    RecognizerName,
    Until,
    Verbose,
    Verify,
    finish,
    flags_of,
    machine_of,
)
from maya_batch.deadline import deadline_of
from maya_batch.errors import UsageError
from maya_batch.logs import log_to_file, log_to_terminal
from maya_batch.manifest import output_folder
from maya_batch.outcome import Outcome
from maya_batch.plan import Plan, make_plan
from maya_batch.progress import LogWatcher, TerminalWatcher
from maya_batch.state import BookState, book_state, hidden_folder
from maya_batch.summary import Description, describe, summarize

log = logging.getLogger(__name__)


def render(
    book: Book,
    output: Output = None,
    config: Config = None,
    model: Model = None,
    codec: Codec = None,
    engine: EngineName = None,
    device: Device = None,
    dtype: Dtype = None,
    quantization: Quantization = None,
    batch_size: BatchSize = None,
    decoding: DecodingName = None,
    verify: Verify = None,
    recognizer: RecognizerName = None,
    recognizer_device: RecognizerDevice = None,
    until: Until = None,
    max_minutes: MaxMinutes = None,
    allow_unknown_tags: AllowTags = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
) -> None:
    """Render what is not rendered yet.

    For instance: `maya-batch render book.yaml --config maya1-bf16-24gb`.
    """
    from maya_batch.render import render_book

    deadline = deadline_of(until, max_minutes)
    plan = begin(book, model, codec, allow_unknown_tags, quiet, verbose, log_file)
    machine = machine_of(
        config, engine, device, dtype, quantization, batch_size, decoding, verify, recognizer, recognizer_device
    )
    log_to_file(hidden_folder(output_folder(plan.manuscript, output)) / "render.log")
    watcher = TerminalWatcher() if sys.stderr.isatty() and not quiet else LogWatcher()
    try:
        outcome = render_book(plan, machine, watcher, output, check_tags=not allow_unknown_tags, deadline=deadline)
    finally:
        watcher.close()
    finish(summarize(outcome), outcome.exit_code)


def assemble(
    book: Book,
    output: Output = None,
    config: Config = None,
    model: Model = None,
    codec: Codec = None,
    device: Device = None,
    dtype: Dtype = None,
    quantization: Quantization = None,
    decoding: DecodingName = None,
    allow_unknown_tags: AllowTags = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
) -> None:
    """Put chapters together from their takes.

    Without the language model: after a change of pauses, formats or titles.
    """
    from maya_batch.render import assemble_book

    plan = begin(book, model, codec, allow_unknown_tags, quiet, verbose, log_file)
    machine = machine_of(config, None, device, dtype, quantization, None, decoding)
    outcome = assemble_book(plan, machine, LogWatcher(), output)
    warn_of_incomplete(outcome, book)
    finish(summarize(outcome), outcome.exit_code)


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


def begin(
    book: Path,
    model: str | None,
    codec: str | None,
    allow_unknown_tags: bool,
    quiet: bool,
    verbose: bool,
    log_file: Path | None,
) -> Plan:
    """What every command that writes begins with: the log, and the plan with its warnings."""
    log_to_terminal(quiet, verbose)
    if log_file is not None:
        log_to_file(log_file)
    made = make_plan(book, flags_of(model=model, codec=codec), allow_unknown_tags)
    for warning in made.warnings:
        log.warning("%s", warning)
    return made


def warn_of_incomplete(outcome: Outcome, book: Path) -> None:
    """Name the chapters that could not be put together."""
    for chapter in outcome.incomplete:
        log.warning("%s: not all of its chunks are rendered yet; run `maya-batch render %s`", chapter.stem, book)


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
