"""Renders a book: generates the takes that it needs, and writes chapters as they become complete."""

import logging
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

from maya_batch.audio.waveform_cache import WaveformMemory
from maya_batch.book.output_files import hidden_folder
from maya_batch.book.ownership import claim_folder
from maya_batch.book.plan import Plan
from maya_batch.book.run_lock import lock_book
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, begun_state
from maya_batch.engine.load import engine_for
from maya_batch.errors import EXIT_STOPPED, MachineError, exit_code_of
from maya_batch.interrupt import Stop
from maya_batch.messages.logs import log_to_book
from maya_batch.messages.plural import plural
from maya_batch.run.book_run import BookRun
from maya_batch.run.cluster.workers import with_workers
from maya_batch.run.deadline import Deadline
from maya_batch.run.loading import Loaders
from maya_batch.run.progress import ProgressListener
from maya_batch.run.reporting import write_book_report
from maya_batch.run.result import RunResult
from maya_batch.run.scope import WHOLE_BOOK, Scope
from maya_batch.run.write_access import TakeOver, writable_state
from maya_batch.torch_errors import translated_torch_errors

log = logging.getLogger(__name__)


def render_book(
    plan: Plan,
    machine: Machine,
    progress: ProgressListener,
    output: Path | None = None,
    check_tags: bool = True,
    deadline: Deadline | None = None,
    redo_seeds: Mapping[str, int | None] | None = None,
    choices: Mapping[str, int | None] | None = None,
    report: bool = True,
    stop: Stop | None = None,
    redone: Container[str] = (),
    take_over: TakeOver | None = None,
    keep_log: bool = False,
    loaders: Loaders | None = None,
    scope: Scope = WHOLE_BOOK,
) -> RunResult:
    """Generate the takes that the book needs, write its chapters, and write the report.

    With `redo_seeds`, a seed or None by key, only these chunks are rendered: one more take of each, which is chosen if
    it has no problems. For keys in `redone` that take is stored already, and is only inspected. `choices`, an attempt
    by key or None to remove a choice, are stored first; with `redo_seeds`, the chapters of all these chunks are written
    and no others.
    `take_over` holds what a person has allowed by flags. With `keep_log` all messages also go to the book's render.log.
    `loaders` replace the loading of the model, the codec and the speech recognition. Chunks and chapters that are not
    in the `scope` are left to another run.

    Raises:
        UsageError: the folder belongs to another book, a file in the way is not this program's, or the book has another
            model config than is asked for, or the engine does not load this kind of model, or a take does not exist.
        BusyError: another run has locked the book.
        StoppedError: the deadline passed before all takes were generated. Here and below, finished takes are saved.
        Interruption: a signal came.
        GpuLostError: the GPU failed.
        MachineError: a model, the GPU, the disk or ffmpeg is missing or failed.
    """
    with opened_book(
        *(plan, machine, progress, output, take_over, keep_log),
        check_tags=check_tags,
        deadline=deadline,
        stop=stop,
        loaders=loaders,
        redo_seeds=redo_seeds,
        choices=choices,
        scope=scope,
        report=report,
    ) as run:
        run.render_takes(redone)
    return run.result


@contextmanager
def opened_book(
    plan: Plan,
    machine: Machine,
    progress: ProgressListener,
    output: Path | None = None,
    take_over: TakeOver | None = None,
    keep_log: bool = False,
    *,
    check_tags: bool,
    deadline: Deadline | None,
    stop: Stop | None,
    loaders: Loaders | None,
    redo_seeds: Mapping[str, int | None] | None = None,
    choices: Mapping[str, int | None] | None = None,
    scope: Scope = WHOLE_BOOK,
    report: bool = True,
    memory: WaveformMemory | None = None,
) -> Iterator[BookRun]:
    """A run over the book, in which takes are generated; at the end its files and its report are written.

    If what is done inside fails, only the report is. `memory` is for the waveforms of several books.

    Raises:
        UsageError, BusyError, StoppedError, Interruption, GpuLostError, MachineError: as `render_book`.
    """
    engine_for(machine.engine, Path(plan.sound.model))  # also where nothing is left to render
    with (
        with_workers(machine, loaders or Loaders()) as loaders,
        opened_run(
            *(plan, machine, progress, output, take_over, keep_log),
            check_tags=check_tags,
            deadline=deadline,
            stop=stop,
            loaders=loaders,
            redo_seeds=redo_seeds,
            scope=scope,
            memory=memory,
        ) as run,
        _reported(run) if report else nullcontext(),
        translated_torch_errors(run.waveforms.forget),
    ):
        _choose(run.state, choices or {})
        yield run
        run.write_chapters(None if redo_seeds is None else {**redo_seeds, **(choices or {})})
        run.write_book()
        run.finished()


def assemble_book(
    plan: Plan,
    machine: Machine,
    progress: ProgressListener,
    output: Path | None = None,
    choices: Mapping[str, int | None] | None = None,
    stop: Stop | None = None,
    keep_log: bool = False,
    loaders: Loaders | None = None,
    partial: bool = False,
) -> RunResult:
    """Write the chapters whose takes are complete, and then the M4B, without a language model.

    With `partial`, the M4B is made of the chapters that are there; its title says so.

    `choices`, an attempt by key or None to remove a choice, are stored first; then only the chapters of these chunks
    are written.

    Raises:
        UsageError: the book was not begun, or a take does not exist.
        BusyError: another run has locked the book.
        MachineError: the codec, the disk or ffmpeg is missing or failed.
    """
    begun_state(plan, machine, output)
    with opened_run(
        *(plan, machine, progress, output, None, keep_log), check_tags=False, stop=stop, loaders=loaders
    ) as run:
        _choose(run.state, choices or {})
        with _reported(run), translated_torch_errors(run.waveforms.forget):
            run.write_chapters(choices)
            run.write_book(partial)
            return run.finished()


def _choose(state: BookState, choices: Mapping[str, int | None]) -> None:
    for key, attempt in choices.items():
        if attempt is None:
            state.store.unchoose(key)
        else:
            state.store.choose(key, attempt)
        state.stored([key])


@contextmanager
def opened_run(
    plan: Plan,
    machine: Machine,
    progress: ProgressListener,
    output: Path | None = None,
    take_over: TakeOver | None = None,
    keep_log: bool = False,
    *,
    check_tags: bool = True,
    deadline: Deadline | None = None,
    stop: Stop | None = None,
    loaders: Loaders | None = None,
    redo_seeds: Mapping[str, int | None] | None = None,
    scope: Scope = WHOLE_BOOK,
    memory: WaveformMemory | None = None,
) -> Iterator[BookRun]:
    """A run over the book, whose folder is claimed and locked. No report is written.

    Raises:
        UsageError, BusyError, MachineError: as `render_book`.
    """
    allowed = take_over or TakeOver()
    hidden = hidden_folder(writable_state(plan, machine, output, allowed).folder)
    if keep_log:
        log_to_book(hidden)
    with lock_book(hidden):
        state = writable_state(plan, machine, output, allowed)  # another run may have started the book meanwhile
        claim_folder(state, allowed.adopt, allowed.upgrade_text)
        if allowed.upgrade_text:
            _tell_rules(state)
        yield BookRun(
            *(state, machine, progress, check_tags, deadline or Deadline(), stop),
            switch=allowed.switch_config,
            loaders=loaders,
            redo_seeds=redo_seeds,
            scope=scope,
            memory=memory,
        )


def _tell_rules(state: BookState) -> None:
    """Log how many chunks are to be rendered because of the newest rules for texts and audio."""
    chunks = list(state.plan.chunks())
    waiting = sum(state.needs_take(chunk) for chunk in chunks)
    log.info("text rules %d, audio rules %d: %d of %s to render", *state.rules, waiting, plural(len(chunks), "chunk"))


@contextmanager
def _reported(run: BookRun) -> Iterator[None]:
    """Write the report when the run has ended, with or without an error.

    A failed report write overrides 'stopped', but never hides another error.
    """
    try:
        yield
    except BaseException as error:
        exit_code = exit_code_of(error)
        try:
            _report(run, exit_code, str(error) or type(error).__name__)
        except MachineError as second:
            if exit_code == EXIT_STOPPED:
                raise
            if str(second) != str(error):
                log.error("%s", second)
        raise
    _report(run, run.result.exit_code, "")


def _report(run: BookRun, exit_code: int, reason: str) -> None:
    run.result.report = write_book_report(run.state, run.result, run.waveforms, run.began, exit_code, reason)
