"""Gives chapters their files: `NN-title.txt`, and at the next import the same file as before."""

import hashlib
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from maya_batch.importing.chapter_text import Paragraph, file_text, paragraphs
from maya_batch.importing.chapters import Chapter
from maya_batch.importing.import_record import Record
from maya_batch.importing.reading_rules import Reading
from maya_batch.importing.shared_text import alike
from maya_batch.manifest.checks import file_stem

FOLDER = "chapters"


@dataclass(frozen=True)
class ChapterFile:
    """A chapter and the file that it is written to."""

    chapter: Chapter
    path: str
    """In the book folder."""
    paragraphs: tuple[Paragraph, ...]
    content: bytes
    is_new: bool = True
    """The last import did not have this chapter."""
    shares_text: bool = False
    """It is known by its text, or by most of it."""

    @property
    def words(self) -> int:
        """The words of the file."""
        return sum(len(each.text.split()) for each in self.paragraphs if each.kind != "scene_break")

    def entry(self) -> dict[str, str]:
        """What import.json and `import --json` say of the chapter alike."""
        chapter = self.chapter
        return {
            "title": chapter.title,
            "subtitle": chapter.subtitle,
            "part": chapter.part,
            "skip": chapter.skip,
            "file": self.path,
        }


def digest(content: bytes) -> str:
    """The sha256 of a file, as import.json has it."""
    return hashlib.sha256(content).hexdigest()


def name_files(
    chapters: Sequence[Chapter],
    reading: Reading,
    record: Record | None,
    taken: Collection[str],
    there: Callable[[str], str],
) -> list[ChapterFile]:
    """The files of the chapters.

    A chapter that an import had keeps its file. It is known by its text, else by most of the text that is `there` in
    a file, else, if the last import had it, by its title and part, else by its title alone. Others get the next
    numbers, and no name that is `taken`.
    """
    written = [paragraphs(chapter, reading) for chapter in chapters]
    contents = [file_text(made).encode() for made in written]
    by_text = _known_by_text(chapters, contents, record, there) if record is not None else {}
    places = _known_files(chapters, by_text, record) if record is not None else {}
    names = {path.rpartition("/")[2] for path in taken}
    if record is not None:
        names |= {str(chapter["file"]).rpartition("/")[2] for chapter in (*record.chapters, *record.gone)}
    number = max(map(_number, names), default=0) if record is not None else 0
    width = max(2, len(str(len(chapters))))
    files = []
    for at, chapter in enumerate(chapters):
        path = places.get(at)
        if path is None:
            number += 1
            stem = f"{number:0{width}}-{file_stem(chapter.title) or 'chapter'}"
            while f"{stem}.txt" in names:
                number += 1
                stem = f"{number:0{width}}-{file_stem(chapter.title) or 'chapter'}"
            path = f"{FOLDER}/{stem}.txt"
        files.append(ChapterFile(chapter, path, tuple(written[at]), contents[at], at not in places, at in by_text))
    return files


def _number(name: str) -> int:
    digits = name.partition("-")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 9 else 0


def _known_by_text(
    chapters: Sequence[Chapter], contents: Sequence[bytes], record: Record, there: Callable[[str], str]
) -> dict[int, str]:
    """The file of each chapter whose text, or most of it, an import had, by the number of the chapter."""
    free = [*record.chapters, *record.gone]
    digests = [digest(content) for content in contents]
    found = _equal(
        [(each, chapter.title) for each, chapter in zip(digests, chapters, strict=True)],
        {old["file"]: (record.files.get(old["file"]), old.get("title")) for old in free},
    )
    found = _equal(digests, {old["file"]: record.files.get(old["file"]) for old in free}, found)
    used = set(found.values())
    new_texts = {at: content.decode() for at, content in enumerate(contents) if at not in found}
    old_texts = {at: there(old["file"]) for at, old in enumerate(free) if new_texts and old["file"] not in used}
    return found | {at: free[number]["file"] for at, number in alike(new_texts, old_texts).items()}


def _known_files(chapters: Sequence[Chapter], by_text: dict[int, str], record: Record) -> dict[int, str]:
    """The file of each chapter that an import had, by the number of the chapter.

    The text comes before the title: a chapter that is inserted has the number, and so the title, of the one after it.
    The title of a chapter that is gone may be that of another one by now.
    """
    old = record.chapters
    found = _equal(
        [(chapter.title, chapter.part) for chapter in chapters],
        {each["file"]: (each.get("title"), each.get("part", "")) for each in old},
        by_text,
    )
    return _equal([chapter.title for chapter in chapters], {each["file"]: each.get("title") for each in old}, found)


def _equal(new: Sequence[object], old: Mapping[str, object], found: Mapping[int, str] | None = None) -> dict[int, str]:
    """What was `found`, and of the others the files of those that are equal in one respect, in their order."""
    pairs = dict(found or {})
    used = set(pairs.values())
    waiting: dict[object, deque[str]] = {}
    for file, what in old.items():
        if file not in used:
            waiting.setdefault(what, deque()).append(file)
    for at, what in enumerate(new):
        if at not in pairs and (files := waiting.get(what)):
            pairs[at] = files.popleft()
    return pairs
