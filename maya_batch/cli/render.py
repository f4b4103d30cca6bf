"""The commands that write chapter files: render and assemble."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from maya_batch.book.chapter_numbers import find_chapters
from maya_batch.cli.options import (
    Book,
    BookFlags,
    MachineFlags,
    MaxMinutes,
    Notify,
    Output,
    Until,
    finish,
    takes_flags,
    warn_of_incomplete,
)
from maya_batch.cli.progress import shown_progress
from maya_batch.cli.session import Session
from maya_batch.cli.several import render_several
from maya_batch.manifest import output_folder
from maya_batch.messages.logs import log_to_terminal
from maya_batch.run.command_guard import guarded
from maya_batch.run.deadline import deadline_of
from maya_batch.run.end_hook import check_command, notifying
from maya_batch.run.scope import WHOLE_BOOK, Scope
from maya_batch.run.summary import summarize
from maya_batch.run.write_access import TakeOver
from maya_batch.wording import RESUMABLE

log = logging.getLogger(__name__)


@takes_flags(
    "machine_flags",
    MachineFlags,
    *("config", "engine", "device", "dtype", "quantization", "kv_cache", "batch_size", "decoding"),
    *("verify", "recognizer", "recognizer_device", "workers", "ray_address"),
)
@takes_flags(
    "book_flags",
    BookFlags,
    *("model", "codec", "attempts", "allow_unknown_tags", "allow_language", "quiet", "verbose", "log_file"),
)
def render(
    context: typer.Context,
    books: Annotated[
        list[Path],
        typer.Argument(metavar="BOOK...", help="The manifests (YAML) of one or more books.", show_default=False),
    ],
    book_flags: BookFlags,
    machine_flags: MachineFlags,
    output: Output = None,
    until: Until = None,
    max_minutes: MaxMinutes = None,
    notify: Notify = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take over an output folder that belongs to another book.")
    ] = False,
    switch_model_config: Annotated[
        bool,
        typer.Option(
            "--switch-model-config",
            help="Render the whole book again with another model, dtype, quantization or decoding. Old takes stay.",
        ),
    ] = False,
    chapters: Annotated[
        str | None,
        typer.Option(
            metavar="1-3,7",
            help="Render and write only these chapters. While others are left, the exit code is 4.",
        ),
    ] = None,
    upgrade_text: Annotated[
        bool,
        typer.Option("--upgrade-text", help="Switch the book to the newest rules for cutting texts and joining audio."),
    ] = False,
) -> None:
    """Render all chunks that have no take yet, and write the chapter files.

    Example: `maya-batch render book.yaml --config maya1-bf16-24gb`. With several books, they are rendered in the order
    given, a book with mistakes does not stop the others, and the exit code is that of the worst.
    """
    log_to_terminal(book_flags.quiet, book_flags.verbose)
    check_command(notify)
    allowed = TakeOver(adopt=adopt, switch_config=switch_model_config, upgrade_text=upgrade_text)
    session = context.ensure_object(Session)
    if len(books) > 1:
        of_one = {"--output": output is not None, "--chapters": chapters is not None, "--adopt": adopt}
        render_several(
            *(books, book_flags, machine_flags, session, allowed),
            until=until,
            max_minutes=max_minutes,
            notify=notify,
            of_one=[flag for flag, given in of_one.items() if given],
        )
        return
    from maya_batch.book.report_files import PAGE_NAME
    from maya_batch.run.render import render_book

    [book] = books
    stop = session.stop
    with stop.interrupts(RESUMABLE), notifying(notify) as notice:
        deadline = deadline_of(until, max_minutes)
        plan = book_flags.plan(book, output, any_language=False, upgrade_text=upgrade_text)
        machine = machine_flags.machine()
        scope = WHOLE_BOOK if chapters is None else Scope(find_chapters(chapters, plan))
        notice.page = output_folder(plan.manuscript, output) / PAGE_NAME
        with guarded(stop, RESUMABLE, deadline) as guard:
            progress = shown_progress(book_flags.quiet)
            try:
                result = render_book(
                    *(plan, machine, progress, output),
                    check_tags=not book_flags.allow_unknown_tags,
                    deadline=guard.first.deadline,
                    stop=guard.stop,
                    take_over=allowed,
                    keep_log=True,
                    loaders=session.loaders,
                    scope=scope,
                )
                notice.exit_code = result.exit_code
            finally:
                progress.close()
    finish(summarize(result), result.exit_code)


@takes_flags("machine_flags", MachineFlags, "config", "device", "dtype", "quantization", "kv_cache", "decoding")
@takes_flags("book_flags", BookFlags, "model", "codec", "allow_unknown_tags", "quiet", "verbose", "log_file")
def assemble(
    context: typer.Context,
    book: Book,
    book_flags: BookFlags,
    machine_flags: MachineFlags,
    output: Output = None,
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Make the M4B of the chapters that are complete; its title says so."),
    ] = False,
) -> None:
    """Write the chapter files and the M4B again from stored takes.

    Use it after a change of pauses, formats or titles. It does not load the language model.
    """
    from maya_batch.run.render import assemble_book

    plan, machine = book_flags.plan(book, output), machine_flags.machine()
    session = context.ensure_object(Session)
    with guarded(session.stop, RESUMABLE) as guard:
        progress = shown_progress(book_flags.quiet)
        try:
            result = assemble_book(
                *(plan, machine, progress, output), stop=guard.stop, loaders=session.loaders, partial=partial
            )
        finally:
            progress.close()
    warn_of_incomplete(result, book)
    finish(summarize(result), result.exit_code)
