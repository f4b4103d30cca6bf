"""The commands for listening: preview before a book is rendered, redo after it, audition to choose a voice."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from maya_batch.book.settings import flags_of
from maya_batch.cli.options import (
    Book,
    BookFlags,
    MachineFlags,
    Output,
    finish,
    output_option,
    takes_flags,
    warn_of_incomplete,
)
from maya_batch.cli.session import Session
from maya_batch.errors import EXIT_PROBLEMS, EXIT_WHOLE, UsageError
from maya_batch.run.command_guard import guarded
from maya_batch.run.summary import summarize
from maya_batch.wording import RESUMABLE, SAVED, STOPPED

log = logging.getLogger(__name__)

_BOOK_FLAGS = ("model", "codec", "allow_unknown_tags", "allow_language", "quiet", "verbose", "log_file")


@takes_flags(
    "machine_flags",
    MachineFlags,
    *("config", "engine", "device", "dtype", "quantization", "kv_cache", "batch_size", "decoding"),
    *("verify", "recognizer", "recognizer_device"),
)
@takes_flags("book_flags", BookFlags, *_BOOK_FLAGS)
def redo(
    context: typer.Context,
    book: Book,
    book_flags: BookFlags,
    machine_flags: MachineFlags,
    refs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="REF...", help="Chunks: 3:17, 3:20-25, or 3:17@a1b2 as reports name them.", show_default=False
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed for the new takes.")] = None,
    keep: Annotated[
        str | None, typer.Option(help="Number of the stored take to use; `auto` removes the choice.")
    ] = None,
    marks_file: Annotated[
        Path | None, typer.Option("--from", help="CSV file of marks, as listen.html exports it, in place of REF.")
    ] = None,
    output: Output = None,
) -> None:
    """Make a new take of chunks, or choose another stored take.

    Example: `maya-batch redo book.yaml 3:17`. If the old take was better: `maya-batch redo book.yaml 3:17 --keep 1`.
    `maya-batch redo book.yaml --from marks.csv` does what was marked in listen.html.
    """
    from maya_batch.book.marks_file import read_marks
    from maya_batch.run.redo import keep_takes, redo_chunks, redo_marks

    flags_of(seed=seed)  # raises if it is out of bounds
    if seed is not None and keep is not None:
        raise UsageError("--seed makes a new take and --keep uses a stored one; use only one of the two")
    if marks_file is not None and (refs or keep is not None):
        raise UsageError("--from names the chunks and what to do with them; leave out REF and --keep")
    if marks_file is None and not refs:
        raise UsageError("name the chunks to redo, like 3:17, or give a file of marks with --from")
    attempt = None if keep is None else _attempt(keep)
    marks = None if marks_file is None else read_marks(marks_file)
    speaks = keep is None if marks is None else any(mark.action == "again" for mark in marks)
    plan = book_flags.plan(book, output, any_language=not speaks)
    machine = machine_flags.machine()
    session = context.ensure_object(Session)
    with guarded(session.stop, f"{STOPPED}; {SAVED}") as guard:
        from maya_batch.cli.progress import shown_progress  # tqdm, which other commands of this module do not need

        progress = shown_progress(book_flags.quiet)
        check_tags = not book_flags.allow_unknown_tags
        named, result = refs or [], None
        try:
            if marks is not None:
                result = redo_marks(marks, seed, plan, machine, progress, output, check_tags, guard, session.loaders)
            elif keep is None:
                result = redo_chunks(named, seed, plan, machine, progress, output, check_tags, guard, session.loaders)
            else:
                result = keep_takes(named, attempt, plan, machine, progress, output, guard.stop, session.loaders)
        finally:
            progress.close()
    if result is None:
        log.info("the marks ask for no take; nothing is changed")
        return
    warn_of_incomplete(result, book)
    finish(summarize(result), result.exit_code)


@takes_flags(
    "machine_flags",
    MachineFlags,
    *("config", "engine", "device", "dtype", "quantization", "kv_cache", "batch_size", "decoding"),
)
@takes_flags("book_flags", BookFlags, *_BOOK_FLAGS)
def audition(
    context: typer.Context,
    book: Book,
    book_flags: BookFlags,
    machine_flags: MachineFlags,
    voice: Annotated[
        str | None,
        typer.Option(help="Name of the voice in the manifest. With --word, the default is the voice of each sentence."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds: 0, 1, 2, and so on.")] = 5,
    text: Annotated[str | None, typer.Option(help="Text to speak. Default: the first chunk of the voice.")] = None,
    word: Annotated[
        str | None, typer.Option(help="Speak the first sentences with this word or phrase, to hear how it is said.")
    ] = None,
    respelling: Annotated[
        list[str] | None, typer.Option(help="With --word: also speak them with this respelling of the word.")
    ] = None,
    output: Annotated[
        Path | None,
        output_option("Output folder. Default: `<book>-audition`, next to the manifest."),
    ] = None,
) -> None:
    """Speak a sample of a voice with several seeds, or a word with several respellings, to choose one by ear.

    Examples: `maya-batch audition book.yaml --voice anna --seeds 5`, and
    `maya-batch audition book.yaml --word Hermione --respelling her-MY-oh-nee`. The book and its takes are not changed.
    """
    if word is None and voice is None:
        raise UsageError("--voice names the voice to speak, and --word a word; add one of the two")
    if word is None and respelling:
        raise UsageError("--respelling needs --word, which names the word that is respelt")
    chosen = context.get_parameter_source("seeds")
    if word is not None and (text is not None or (chosen is not None and chosen.name != "DEFAULT")):
        raise UsageError("--word speaks sentences of the book with the book's seed; leave out --seeds and --text")
    from maya_batch.run.samples import audition as record
    from maya_batch.run.samples import voice_with_seed
    from maya_batch.run.word_samples import audition_word

    plan = book_flags.plan(book, any_language=False)
    machine, check_tags = machine_flags.machine(), not book_flags.allow_unknown_tags
    session = context.ensure_object(Session)
    with guarded(session.stop) as guard:
        if word is not None:
            samples = audition_word(
                plan, word, respelling or (), machine, voice, output, check_tags, guard.stop, session.loaders
            )
        else:
            samples = record(plan, str(voice), seeds, machine, text, output, check_tags, guard.stop, session.loaders)
    for sample in samples:
        log.info("%s  %.1f s", sample.path, sample.seconds)
        for problem in sample.problems:
            told = sample.path.name if word is not None else f"seed {sample.seed}"
            log.warning("%s %s: %s", told, problem.kind, problem.detail)
    lines = []
    if word is None:
        good = next((sample.seed for sample in samples if not sample.problems), 0)
        pinned = voice_with_seed(str(voice), plan.book.voices[str(voice)].description, good)
        lines = [f"to use one of these seeds, write it into {book}:", *pinned.splitlines()]
    elif respelling:
        lines = [f"to use a respelling, add it to `lexicon` in {book}"]
    finish(lines, EXIT_PROBLEMS if any(sample.problems for sample in samples) else EXIT_WHOLE)


@takes_flags(
    "machine_flags",
    MachineFlags,
    *("config", "engine", "device", "dtype", "quantization", "kv_cache", "batch_size", "decoding"),
    *("verify", "recognizer", "recognizer_device"),
)
@takes_flags("book_flags", BookFlags, "attempts", *_BOOK_FLAGS)
def preview(
    context: typer.Context,
    book: Book,
    book_flags: BookFlags,
    machine_flags: MachineFlags,
    output: Annotated[
        Path | None,
        output_option("Output folder. Default: `<book>-preview`, next to the manifest.", "-o"),
    ] = None,
    takes: Annotated[
        Path | None,
        typer.Option(help="The --output of the book's `render`, where takes are stored. Default: the manifest's."),
    ] = None,
) -> None:
    """Render the first half minute of each chapter, and each voice, into a folder to listen to.

    Example: `maya-batch preview book.yaml`. The takes are the book's own: `render` goes on from them.
    """
    from maya_batch.run.preview import preview_book

    plan = book_flags.plan(book, takes, any_language=False)
    machine, check_tags = machine_flags.machine(), not book_flags.allow_unknown_tags
    session = context.ensure_object(Session)
    with guarded(session.stop, RESUMABLE) as guard:
        from maya_batch.cli.progress import shown_progress

        progress = shown_progress(book_flags.quiet)
        try:
            result = preview_book(plan, machine, progress, output, takes, check_tags, guard.stop, session.loaders)
        finally:
            progress.close()
    finish(summarize(result), result.exit_code)


def _attempt(keep: str) -> int | None:
    """The number of a take; None for `auto`.

    Raises:
        UsageError: it is neither.
    """
    if keep == "auto":
        return None
    if not (keep.isascii() and keep.isdigit() and len(keep) < 10):
        raise UsageError(f"--keep {keep}: not the number of a take; write a number, or `auto`")
    return int(keep)
