"""After listening: makes one more take of a chunk, or puts another of its takes in use; one by one, or as marked."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from maya_batch.book.chunk import Chunk
from maya_batch.book.chunk_refs import find_chunks
from maya_batch.book.marked_chunks import marked_chunks
from maya_batch.book.marks_file import Mark
from maya_batch.book.plan import Plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, begun_state
from maya_batch.book.take_store import Take
from maya_batch.errors import MachineError, UsageError
from maya_batch.interrupt import Stop
from maya_batch.run.command_guard import Guarded
from maya_batch.run.gpu_restart import Attempts, FirstStart
from maya_batch.run.loading import Loaders, refuse_other_config
from maya_batch.run.progress import ProgressListener
from maya_batch.run.render import assemble_book, render_book
from maya_batch.run.result import RunResult
from maya_batch.wording import cannot_read_back, take_in_use

log = logging.getLogger(__name__)


def redo_chunks(
    refs: Sequence[str],
    seed: int | None,
    plan: Plan,
    machine: Machine,
    progress: ProgressListener,
    output: Path | None = None,
    check_tags: bool = True,
    guard: Guarded | None = None,
    loaders: Loaders | None = None,
) -> RunResult:
    """Make one more take of each chunk, use it if it has no problems, and write the chapters that changed.

    `seed` is the takes' random seed; None: each take's number gives one. If the GPU fails, the `guard` lets the second
    start skip the chunks whose new take is stored.

    Raises:
        UsageError: the book was not begun, its model config differs from what is asked for, or a ref names no chunk.
        BusyError, Interruption, MachineError: as `render_book`.
    """
    state = begun_state(plan, machine, output)
    refuse_other_config(state)
    chunks = find_chunks(refs, plan, state.key)
    return _redo(chunks, seed, {}, state, machine, progress, output, check_tags, guard, loaders)


def redo_marks(
    marks: Sequence[Mark],
    seed: int | None,
    plan: Plan,
    machine: Machine,
    progress: ProgressListener,
    output: Path | None = None,
    check_tags: bool = True,
    guard: Guarded | None = None,
    loaders: Loaders | None = None,
) -> RunResult | None:
    """Do what a person marked, in one run: takes to keep are put in use, chunks marked `again` get one more take.

    Returns None if no mark asks for a take: notes are logged, and do nothing. The language model is loaded once, and
    only if a chunk is marked `again`. `seed` and `guard` are as in `redo_chunks`.

    Raises:
        UsageError: as `redo_chunks`, or a take does not exist, or marks contradict each other; then nothing is done.
        BusyError, Interruption, MachineError: as `render_book`.
    """
    state = begun_state(plan, machine, output)
    refuse_other_config(state)
    marked = marked_chunks(marks, plan, state.key, lambda chunk: [take.attempt for take in state.takes(chunk)])
    for line in marked.repeated:
        log.warning("%s", line)
    for ref, note in marked.notes:
        log.info("%s: note: %s", ref, note)
    if not marked.again and not marked.keep:
        return None
    choices = {state.key(chunk): attempt for chunk, attempt in marked.keep}
    result = _redo(marked.again, seed, choices, state, machine, progress, output, check_tags, guard, loaders)
    for chunk, attempt in marked.keep:
        log.info("%s", take_in_use(chunk.ref, attempt))
    return result


def _redo(
    chunks: Sequence[Chunk],
    seed: int | None,
    choices: Mapping[str, int],
    state: BookState,
    machine: Machine,
    progress: ProgressListener,
    output: Path | None,
    check_tags: bool,
    guard: Guarded | None,
    loaders: Loaders | None,
) -> RunResult:
    """Store the `choices`, an attempt by key, and make one more take of each chunk."""
    plan, guard = state.plan, guard or Guarded(Stop(), FirstStart())
    before = guard.first.before
    for chunk in chunks:
        take = state.take(chunk)
        before.setdefault(chunk.ref, Attempts(state.attempts(chunk), None if take is None else take.attempt))
    redone = {state.key(chunk) for chunk in chunks if state.attempts(chunk) > before[chunk.ref].made}
    seeds = {state.key(chunk): seed for chunk in chunks}
    result = render_book(
        *(plan, machine, progress, output),
        check_tags=check_tags,
        redo_seeds=seeds,
        choices=choices,
        redone=redone,
        stop=guard.stop,
        keep_log=True,
        loaders=loaders,
    )
    state = begun_state(plan, machine, output)
    for chunk in chunks:
        _tell(state, chunk, before[chunk.ref])
    return result


def keep_takes(
    refs: Sequence[str],
    attempt: int | None,
    plan: Plan,
    machine: Machine,
    progress: ProgressListener,
    output: Path | None = None,
    stop: Stop | None = None,
    loaders: Loaders | None = None,
) -> RunResult:
    """Use this take of each chunk from now on, and write the chapters that changed. No language model is loaded.

    None removes the choice: the take with the fewest problems is used.

    Raises:
        UsageError: as `redo_chunks`, or a chunk has no such take; then no choice is changed.
        BusyError, Interruption, MachineError: as `assemble_book`.
    """
    state = begun_state(plan, machine, output)
    refuse_other_config(state)
    chunks = find_chunks(refs, plan, state.key)
    for chunk in chunks:
        there = [take.attempt for take in state.store.all(state.key(chunk))]
        if attempt is not None and attempt not in there:
            takes = ", ".join(map(str, there)) or "none"
            raise UsageError(f"chunk {chunk.ref} has no take {attempt}; existing takes: {takes}")
    choices = {state.key(chunk): attempt for chunk in chunks}
    return assemble_book(plan, machine, progress, output, choices, stop, keep_log=True, loaders=loaders)


def _tell(state: BookState, chunk: Chunk, before: Attempts) -> None:
    """Log which take is in use, and which others there are."""
    takes, used = state.store.all(state.key(chunk)), state.take(chunk)
    if used is None or takes[-1].attempt <= before.made:
        raise MachineError(cannot_read_back(chunk.ref, state.folder))
    if not takes[-1].problems:
        back = f"; to return to take {before.used}, run `redo {chunk.ref} --keep {before.used}`" if before.used else ""
        log.info("%s%s", take_in_use(chunk.ref, used.attempt), back)
        return
    log.warning(
        "%s: take %d has problems. To use one of these takes, run `redo %s --keep N`:",
        *(chunk.ref, takes[-1].attempt, chunk.ref),
    )
    for take in takes:
        in_use = "; in use" if take.attempt == used.attempt else ""
        log.warning("  take %d: %s%s", take.attempt, _evidence(take), in_use)


def _evidence(take: Take) -> str:
    problems = ", ".join(f"{problem.kind} ({problem.detail})" for problem in take.problems) or "no problems"
    words = "not transcribed" if take.transcript is None else f"word error {take.transcript.word_error:.2f}"
    return f"{problems}; {words}"
