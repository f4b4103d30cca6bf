"""The command that makes a book folder of a manuscript."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from maya_batch.cli.options import Json, output_option
from maya_batch.errors import EXIT_PROBLEMS, UsageError
from maya_batch.importing.book_folder import BOOK, FolderPlan, default_folder, plan_folder
from maya_batch.importing.folder_writer import write_folder
from maya_batch.importing.manuscript import Imported, read_manuscript
from maya_batch.importing.reading_rules import Extra, Reading, Tables, extras
from maya_batch.messages.plural import plural
from maya_batch.messages.printable import printable
from maya_batch.messages.quoting import shorten

_TITLE, _PART = 50, 30
"""The most characters of a title and of a part in the table."""


def import_book(
    manuscript: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Manuscript: .epub, .docx, .md, .html or .txt.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        output_option("Folder to write. Default: named after the manuscript, next to it.", "-o"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written without writing.")] = False,
    tables: Annotated[
        str, typer.Option(metavar="|".join(get_args(Tables)), help="Leave tables out, or read them row by row.")
    ] = "skip",
    read: Annotated[
        str,
        typer.Option(
            metavar="KINDS",
            help=f"Also read these aloud, separated by commas: {', '.join(get_args(Extra))}. Default: none.",
            show_default=False,
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Make a book folder of a manuscript: book.yaml, a text for each chapter, the cover.

    It shows the chapters, what is not read aloud and why, and where each character of the manuscript is. Importing a
    changed manuscript again keeps what you edited; where you and the manuscript changed the same, both versions are
    there, and the exit code is 3.
    """
    reading = _reading(tables, read)
    imported = read_manuscript(manuscript, reading)
    folder = output if output is not None else default_folder(manuscript)
    plan = plan_folder(imported, folder)
    if not dry_run:
        write_folder(plan)
    # In ASCII: valid JSON whatever the encoding of the terminal, and no control characters reach it.
    lines = (
        [json.dumps(_data(imported, plan), indent=2)] if as_json else map(printable, _lines(imported, plan, dry_run))
    )
    print("\n".join(lines))
    if plan.conflicts:
        raise typer.Exit(EXIT_PROBLEMS)


def _reading(tables: str, read: str) -> Reading:
    if tables not in get_args(Tables):
        raise UsageError(f"--tables {tables}: write one of {', '.join(get_args(Tables))}")
    names = [name.strip() for name in read.split(",") if name.strip()]
    try:
        kinds = extras(names)
    except ValueError as error:
        raise UsageError(f"--read {error}: write any of {', '.join(get_args(Extra))}, separated by commas") from error
    return Reading(kinds, "rows" if tables == "rows" else "skip")


def _lines(imported: Imported, plan: FolderPlan, dry_run: bool) -> Iterator[str]:
    metadata = imported.document.metadata
    series = f"{metadata.series} {metadata.series_number}".strip()
    for name, value in (
        ("title", metadata.title),
        ("subtitle", metadata.subtitle),
        ("author", ", ".join(metadata.authors)),
        ("series", series),
        ("publisher", metadata.publisher),
        ("date", metadata.date),
        ("ISBN", metadata.isbn),
        ("language", metadata.language),
        ("cover", f"{len(imported.document.cover.content):,} bytes" if imported.document.cover else ""),
    ):
        if value:
            yield f"{name:<10} {shorten(value, 200)}"
    yield ""
    yield from _table(plan)
    yield ""
    yield from imported.sums.lines()
    yield from _news(imported, plan)
    yield ""
    book = plan.folder / BOOK
    if dry_run:
        files = plural(len(plan.writes), "file")
        yield f"nothing was written; without --dry-run, {files} would be written into {plan.folder}"
    else:
        yield f"next: look through {book}, then run"
        yield f"maya-batch render {shlex.quote(str(book))}"


def _table(plan: FolderPlan) -> Iterator[str]:
    """A line for each chapter: number, words, title, part, and why it is skipped."""
    rows = [
        (shorten(each.chapter.title, _TITLE), shorten(each.chapter.part, _PART), each.chapter.skip, each.words)
        for each in plan.chapters
    ]
    wide = max((len(title) for title, *_ in rows), default=0)
    number = len(str(len(rows)))
    for at, (title, part, skip, words) in enumerate(rows, 1):
        note = f"skipped: {skip}" if skip else part
        yield f"{at:>{number}}  {words:>7,} {_words(words):<5}  {title:<{wide}}  {note}".rstrip()
    spoken = [words for *_, skip, words in rows if not skip]
    all_words = f"{sum(spoken):,} {_words(sum(spoken))}"
    yield f"{plural(len(spoken), 'chapter')} of {all_words} to read aloud, {len(rows) - len(spoken)} skipped"


def _words(count: int) -> str:
    return "word" if count == 1 else "words"


def _news(imported: Imported, plan: FolderPlan) -> Iterator[str]:
    for group in (imported.remarks, plan.news, plan.conflicts):
        if group:
            yield ""
            yield from group


def _data(imported: Imported, plan: FolderPlan) -> dict[str, Any]:
    metadata = asdict(imported.document.metadata)
    return {
        "manuscript": imported.name,
        "format": imported.kind,
        "folder": str(plan.folder),
        "metadata": metadata,
        "chapters": [{**each.entry(), "words": each.words, "new": each.is_new} for each in plan.chapters],
        "characters": asdict(imported.sums),
        "remarks": list(imported.remarks),
        "changes": plan.news,
        "conflicts": plan.conflicts,
        "files": list(plan.writes),
    }
