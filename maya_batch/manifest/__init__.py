"""Reads book.yaml and its chapter files into a `Manuscript`, and finds all mistakes in one go."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from maya_batch.errors import Finding, UsageError
from maya_batch.manifest.book_file import read_book_bytes, read_book_file, unix_lines
from maya_batch.manifest.chapter_text import ChapterText, SkippedChapter
from maya_batch.manifest.checks import Checker, file_stem, has_words
from maya_batch.manifest.cover import Cover, WrongCoverError, read_cover
from maya_batch.manifest.credit_texts import credit_texts
from maya_batch.manifest.error_recovery import read_book
from maya_batch.manifest.jingle import Jingle, WrongJingleError, read_jingle
from maya_batch.manifest.json_schema import json_schema
from maya_batch.manifest.lexicon import LexiconEntry, read_lexicon
from maya_batch.manifest.mastering import Master
from maya_batch.manifest.output import Format, Output
from maya_batch.manifest.schema import Book, Chapter, Pauses, Quality, Render, Voice
from maya_batch.manifest.source_text import (
    LIMIT_BYTES,
    Lines,
    UnreadableError,
    control_offsets,
    control_words,
    read_bytes,
)
from maya_batch.manifest.yaml_positions import DataPath, load
from maya_batch.messages.quoting import quoted

__all__ = [
    "Book",
    "Chapter",
    "ChapterText",
    "Cover",
    "Format",
    "LexiconEntry",
    "Manuscript",
    "Master",
    "Output",
    "Pauses",
    "Quality",
    "Render",
    "SkippedChapter",
    "Voice",
    "file_stem",
    "has_words",
    "json_schema",
    "output_folder",
    "read_manuscript",
]


#: The deepest --output path: many programs fail on a path of a thousand folders.
_MOST_FOLDERS = 100


@dataclass(frozen=True)
class Manuscript:
    """A book with all its texts."""

    path: Path
    """The manifest, as it was given."""
    folder: Path
    """The manifest's folder, resolved."""
    book: Book
    chapters: tuple[ChapterText, ...]
    """The chapters to render whose text could be read; without findings, all of them. Credits are chapters, too."""
    lexicon: tuple[LexiconEntry, ...]
    """The valid entries of the book's lexicon, in order."""
    place: Callable[[DataPath], tuple[int, int]]
    """Line and column, from 1, of the value at a path of the manifest."""
    skipped: tuple[SkippedChapter, ...] = ()
    skipped_texts: Mapping[int, str] = field(default_factory=dict, repr=False)
    """The texts of the skipped chapters, by their number, whatever is in them."""
    cover: Cover | None = None
    jingle: Jingle | None = None


def read_manuscript(path: Path) -> tuple[Manuscript | None, list[Finding]]:
    """The book at `path` and its mistakes; never raises for bad content.

    With findings, the manuscript holds stand-ins for wrong values and is good for further checks only.
    It is None if there is nothing to check.
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
    lexicon, mistakes = read_lexicon(checker, path.parent)
    findings += mistakes
    cover = None
    if book.cover is not None:
        try:
            cover = read_cover(folder, book.cover)
        except WrongCoverError as error:
            findings.append(checker.finding(("cover",), *error.args))
    chapters: list[ChapterText] = []
    skipped: list[SkippedChapter] = []
    skipped_texts: dict[int, str] = {}
    room = LIMIT_BYTES
    for index, chapter in enumerate(book.chapters):
        if chapter.skip is not False:
            left_out, unspoken, mistakes = _skipped_chapter(checker, index, path.parent)
            findings += mistakes
            skipped.append(left_out)
            skipped_texts[left_out.number] = unspoken
            room -= left_out.characters
        else:
            text, mistakes = _chapter_text(checker, index, path.parent)
            findings += mistakes
            if text:
                chapters.append(text)
                room -= len(text.text)
        if room < 0:  # many chapters may name one file, or one text by an alias
            what = f"the chapters up to this one have more than {LIMIT_BYTES:,} characters"
            findings.append(checker.finding(("chapters", index), what, "split the book into several"))
            chapters.clear()
            break
    jingle = None
    if book.jingle is not None:
        try:
            jingle = read_jingle(folder, book.jingle)
        except WrongJingleError as error:
            findings.append(checker.finding(("jingle",), *error.args))
    texts, mistakes = credit_texts(checker)
    findings += mistakes
    chapters = sorted([*chapters, *texts], key=lambda chapter: chapter.number)
    manuscript = Manuscript(
        *(path, folder, book, tuple(chapters), lexicon, source.place, tuple(skipped), skipped_texts, cover, jingle)
    )
    return manuscript, list(dict.fromkeys(findings))


def output_folder(manuscript: Manuscript, override: Path | None = None) -> Path:
    """The folder for the audio: `override`, else the book's `output.folder`, else a folder next to the manifest.

    The last is named like the manifest without its ending.

    Raises:
        UsageError: `override` is too deep.
    """
    if override is not None:
        if len(override.parts) > _MOST_FOLDERS:
            raise UsageError(f"--output is {len(override.parts)} folders deep; the limit is {_MOST_FOLDERS}")
        return override
    if manuscript.book.output.folder is not None:
        return manuscript.folder / manuscript.book.output.folder
    stem = manuscript.path.stem
    # A manifest without an ending is itself named like its stem.
    return manuscript.folder / (stem if stem != manuscript.path.name else f"{stem}-audio")


def _chapter_text(checker: Checker, index: int, given: Path) -> tuple[ChapterText | None, list[Finding]]:
    """One chapter; `given` is the manifest's folder, not resolved."""
    chapter = checker.book.chapters[index]
    path: DataPath = ("chapters", index, "file" if chapter.text is None else "text")
    if not checker.sound(("chapters", index, "text")) or not checker.sound(("chapters", index, "file")):
        return None, []
    if chapter.text is not None:
        text = chapter.text

        def place(offset: int) -> tuple[str, int, int]:
            return checker.file, *checker.source.locate(path, offset)

        # YAML allows control characters and carriage returns in double quotes.
        offsets = control_offsets(text) + ([text.index("\r")] if "\r" in text else [])
        findings = [Finding(*place(offset), *control_words(text[offset])) for offset in offsets]
        kind = "the chapter's text"
    else:
        shown_file = str(given / str(chapter.file))
        text, findings = read_book_file(checker, path, str(chapter.file), shown_file, "the chapter file")
        lines = Lines(text)

        def place(offset: int) -> tuple[str, int, int]:
            return shown_file, *lines.place(offset)

        kind = f"the chapter file {quoted(chapter.file)}"
    if findings:
        return None, findings
    if not text.strip():
        return None, [checker.finding(path, f"{kind} is empty", "add text or remove the chapter")]
    voices = checker.book.voices
    voice = next((name for name in (chapter.voice, checker.book.voice) if name in voices), None)
    read = ChapterText(
        number=index + 1,
        title=chapter.title,
        slug=file_stem(chapter.title),
        voice=voice or next(iter(voices)),
        text=text,
        place=place,
        part=chapter.part or "",
        subtitle=chapter.subtitle or "",
        announce=checker.book.announce if chapter.announce is None else chapter.announce,
    )
    return read, []


def _skipped_chapter(checker: Checker, index: int, given: Path) -> tuple[SkippedChapter, str, list[Finding]]:
    """A chapter that is not rendered, and its text: its file must be there, whatever is in it."""
    chapter = checker.book.chapters[index]
    path: DataPath = ("chapters", index, "file")
    findings: list[Finding] = []
    text = chapter.text or ""
    if chapter.file is not None and checker.sound(path):
        raw = read_book_bytes(checker, path, chapter.file, str(given / chapter.file), "the chapter file")
        if isinstance(raw, Finding):
            findings.append(raw)
        else:
            text = unix_lines(raw.decode("utf-8-sig", errors="replace"))
    reason = chapter.skip if isinstance(chapter.skip, str) else ""
    return SkippedChapter(index + 1, chapter.title, chapter.part or "", reason, len(text)), text, findings
