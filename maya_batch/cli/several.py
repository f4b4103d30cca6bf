"""`render` with several books."""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import typer

from maya_batch.cli.options import BookFlags, MachineFlags
from maya_batch.cli.progress import shown_progress
from maya_batch.cli.session import Session
from maya_batch.errors import EXIT_STOPPED, StoppedError, UsageError
from maya_batch.interrupt import Interruption
from maya_batch.run.command_guard import guarded
from maya_batch.run.deadline import deadline_of
from maya_batch.run.end_hook import notifying
from maya_batch.run.summary import summarize_shelf
from maya_batch.run.write_access import TakeOver
from maya_batch.wording import RESUMABLE

log = logging.getLogger(__name__)


def render_several(
    books: Sequence[Path],
    book_flags: BookFlags,
    machine_flags: MachineFlags,
    session: Session,
    allowed: TakeOver,
    *,
    until: str | None,
    max_minutes: float | None,
    notify: str | None,
    of_one: Collection[str],
) -> None:
    """Render books in the order given, and tell at the end what became of each.

    `of_one` are the flags given that are for one book alone.

    The command of --notify runs once, and is told the report of the first book with the worst exit code.
    """
    from maya_batch.run.shelf import ShelfRun

    stop = session.stop
    with stop.interrupts(RESUMABLE), notifying(notify) as notice:
        for flag in of_one:
            raise UsageError(f"{flag} is for one book, and {len(books)} are named; render that book alone")
        deadline = deadline_of(until, max_minutes)
        book_flags.start_log()
        machine = machine_flags.machine()
        with guarded(stop, RESUMABLE, deadline) as guard:
            progress = shown_progress(book_flags.quiet)
            shelf = ShelfRun(
                books,
                lambda book: book_flags.planned(book, any_language=False, upgrade_text=allowed.upgrade_text),
                machine,
                progress,
                check_tags=not book_flags.allow_unknown_tags,
                deadline=guard.first.deadline,
                stop=guard.stop,
                take_over=allowed,
                keep_log=True,
                loaders=session.loaders,
            )
            try:
                shelf.run()
            except (StoppedError, Interruption) as error:
                if shelf.result.exit_code == EXIT_STOPPED:
                    raise
                log.info("%s", error)  # a book that failed is worse
            finally:
                progress.close()
                worst = shelf.result.worst
                notice.page, notice.exit_code = None if worst is None else worst.page, shelf.result.exit_code
                for important, line in summarize_shelf(shelf.result):
                    log.log(logging.WARNING if important else logging.INFO, "%s", line)
    if shelf.result.exit_code:
        raise typer.Exit(shelf.result.exit_code)
