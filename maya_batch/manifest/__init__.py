"""book.yaml and its chapter files, read into a `Manuscript`; all mistakes are found in one go."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from maya_batch.errors import Finding, UsageError
from maya_batch.manifest.checks import Checker, file_stem
from maya_batch.manifest.error_recovery import read_book
from maya_batch.manifest.json_schema import json_schema
from maya_batch.manifest.schema import Book, Chapter, Format, Output, Pauses, Quality, Render, Voice
from maya_batch.manifest.source_text import (
    LIMIT_BYTES,
    Lines,
    UnreadableError,
    control_offsets,
    control_words,
    decode,
    read_bytes,
    way_out,
)
from maya_batch.manifest.yaml_positions import DataPath, YamlSource, load
from maya_batch.messages.quoting import quoted

__all__ = [
    "Book",
    "Chapter",
    "ChapterText",
    "Format",
    "Manuscript",
    "Output",
    "Pauses",
    "Quality",
    "Render",
    "Voice",
    "file_stem",
    "json_schema",
    "output_folder",
    "read_manuscript",
]


#: Of a path that a person names on the command line; a thousand and more end many a program that looks through them.
_MOST_FOLDERS = 100


@dataclass(frozen=True)
class ChapterText:
    """A chapter with its source text read in."""

    number: int
    """The place in the book, from 1."""
    title: str
    slug: str
    """The file name without number and ending."""
    voice: str
    """The name of the voice that reads; always one of the book's."""
    text: str
    """The source text; lines end with a newline character alone."""
    place: Callable[[int], tuple[str, int, int]]
    """Where a character of `text` stands: the file as shown, its line and its column, from 1."""


@dataclass(frozen=True)
class Manuscript:
    """A book with all its texts."""

    path: Path
    """The manifest, as it was given."""
    folder: Path
    """The manifest's folder, resolved."""
    book: Book
    chapters: tuple[ChapterText, ...]
    """The chapters whose text could be read: all of them where there was no finding."""
    place: Callable[[DataPath], tuple[int, int]]
    """Line and column, from 1, of the value at a path of the manifest."""


def read_manuscript(path: Path) -> tuple[Manuscript | None, list[Finding]]:
    """The book at `path` and all that is wrong with it; never raises for bad content.

    Where there are findings, the manuscript holds stand-ins for what was wrong, and is only fit to be
    checked further; it is None where there is nothing to check.
    """
    file = str(path)
    try:
        raw = read_bytes(path)
    except UnreadableError as error:
        return None, [Finding(file, 1, 1, f"the manifest {error}")]
    source, findings = load(raw, file)
    if source is None:
        return None, findings
    book, mistakes, patched = read_book(source, file)
    findings += mistakes
    if book is None:
        return None, findings
    folder = path.parent.resolve()
    checker = Checker(book, source, file, folder, patched)
    findings += checker.findings()
    chapters: list[ChapterText] = []
    room = LIMIT_BYTES
    for index in range(len(book.chapters)):
        text, mistakes = _chapter_text(checker, index, path.parent)
        findings += mistakes
        if text:
            chapters.append(text)
            room -= len(text.text)
        if room < 0:  # one file may be named by any number of chapters, and so may one text by its alias
            what = f"the chapters up to this one have more than {LIMIT_BYTES:,} characters"
            findings.append(checker.finding(("chapters", index), what, "make several books of it"))
            chapters.clear()
            break
    return Manuscript(path, folder, book, tuple(chapters), source.place), list(dict.fromkeys(findings))


def output_folder(manuscript: Manuscript, override: Path | None = None) -> Path:
    """Where the audio goes: `override`, else the book's `output.folder`, else beside the manifest.

    The last is named like the manifest without its ending.

    Raises:
        UsageError: `override` leads through more folders than programs can look through.
    """
    if override is not None:
        if len(override.parts) > _MOST_FOLDERS:
            raise UsageError(f"--output leads through {len(override.parts)} folders; {_MOST_FOLDERS} are the most")
        return override
    if manuscript.book.output.folder is not None:
        return manuscript.folder / manuscript.book.output.folder
    stem = manuscript.path.stem
    # A manifest without an ending has taken its stem for itself.
    return manuscript.folder / (stem if stem != manuscript.path.name else f"{stem}-audio")


def _chapter_text(checker: Checker, index: int, given: Path) -> tuple[ChapterText | None, list[Finding]]:
    """One chapter; `given` is the manifest's folder as the person named it."""
    chapter = checker.book.chapters[index]
    path: DataPath = ("chapters", index, "file" if chapter.text is None else "text")
    if not checker.sound(("chapters", index, "text")) or not checker.sound(("chapters", index, "file")):
        return None, []
    if chapter.text is not None:
        text = chapter.text
        place: Callable[[int], tuple[str, int, int]] = partial(_place_inline, checker.source, checker.file, path)
        findings = list(_inline_findings(text, place))
        kind = "the chapter's text"
    else:
        shown_file = str(given / str(chapter.file))
        text, findings = _file_text(checker, path, str(chapter.file), shown_file)
        place = partial(_place_in_file, Lines(text), shown_file)
        kind = f"the chapter file {quoted(chapter.file)}"
    if findings:
        return None, findings
    if not text.strip():
        return None, [checker.finding(path, f"{kind} is empty", "write some, or remove the chapter")]
    voices = checker.book.voices
    voice = next((name for name in (chapter.voice, checker.book.voice) if name in voices), None)
    read = ChapterText(
        number=index + 1,
        title=chapter.title,
        slug=file_stem(chapter.title),
        voice=voice or next(iter(voices)),
        text=text,
        place=place,
    )
    return read, []


def _inline_findings(text: str, place: Callable[[int], tuple[str, int, int]]) -> Iterator[Finding]:
    """Control characters that double quotes can bring in; a carriage return is one of them."""
    returns = [text.index("\r")] if "\r" in text else []
    for offset in [*control_offsets(text), *returns]:
        yield Finding(*place(offset), *control_words(text[offset]))


def _file_text(checker: Checker, path: DataPath, file: str, shown_file: str) -> tuple[str, list[Finding]]:
    """The text of a chapter's file, or what is wrong with it."""
    how = way_out(checker.folder, file)
    if how:
        mend = "put it beside the manifest and name it relative to that"
        return "", [checker.finding(path, f"the chapter file {quoted(file)} {how}", mend)]
    try:
        raw = read_bytes(checker.folder / file)
    except UnreadableError as error:
        return "", [checker.finding(path, f"the chapter file {quoted(shown_file)} {error}")]
    text, findings = decode(raw, shown_file)
    return text.replace("\r\n", "\n").replace("\r", "\n"), findings


def _place_inline(source: YamlSource, file: str, path: DataPath, offset: int) -> tuple[str, int, int]:
    return file, *source.locate(path, offset)


def _place_in_file(lines: Lines, file: str, offset: int) -> tuple[str, int, int]:
    return file, *lines.place(offset)
