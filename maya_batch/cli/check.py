"""The command that compares finished files with what a store asks for."""

import json
from dataclasses import asdict
from typing import Annotated, cast

import typer

from maya_batch.book.ownership import refuse_other_book
from maya_batch.book.state import begun_state
from maya_batch.book.store_check import table
from maya_batch.book.store_rules import STORES, StoreName
from maya_batch.cli.options import Book, BookFlags, Json, MachineFlags, Output, finish, takes_flags
from maya_batch.cli.session import Session
from maya_batch.errors import EXIT_PROBLEMS, EXIT_WHOLE, UsageError
from maya_batch.messages.plural import plural
from maya_batch.messages.printable import printable


@takes_flags("machine_flags", MachineFlags, "config", "dtype", "quantization", "decoding")
@takes_flags("book_flags", BookFlags, "model", "codec", "allow_unknown_tags", "quiet", "verbose", "log_file")
def check(
    context: typer.Context,
    book: Book,
    book_flags: BookFlags,
    machine_flags: MachineFlags,
    output: Output = None,
    store: Annotated[
        str, typer.Option(metavar="|".join(STORES), help="Store whose requirements are checked.")
    ] = "acx-form",
    as_json: Json = False,
) -> None:
    """Compare finished files with the requirements of a store: levels, peaks, pauses, encoding, cover, credits, sample.

    Each line passes or fails, and says how to correct what fails; then the exit code is 3. The result is also in
    report.json and report.html. ACX takes narration by humans only, unless it has authorised a synthesized voice.
    """
    from maya_batch.run.check_book import check_book

    if store not in STORES:
        raise UsageError(f"--store {store}: write one of {', '.join(STORES)}")
    state = begun_state(book_flags.plan(book, output), machine_flags.machine(), output)
    refuse_other_book(state)
    found = check_book(state, cast("StoreName", store), context.ensure_object(Session).stop)
    failed = sum(not row.passed for row in found.rows)
    if as_json:
        print(json.dumps(asdict(found), indent=2))
        raise typer.Exit(EXIT_WHOLE if found.passed else EXIT_PROBLEMS)
    for line in [*table(found.rows), *([found.note] if found.note else [])]:
        print(printable(line))
    finish([f"{plural(failed, 'requirement')} of {store} not met"] if failed else [], EXIT_PROBLEMS if failed else 0)
