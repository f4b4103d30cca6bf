"""Gives chapters their files: `NN-title.txt`, and at the next import the same file as before."""

import hashlib
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

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
    places = _known_files(chapters, contents, record, there) if record is not None else {}
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
        files.append(ChapterFile(chapter, path, tuple(written[at]), contents[at], at not in places))
    return files


def _number(name: str) -> int:
    digits = name.partition("-")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 9 else 0


def _known_files(
    chapters: Sequence[Chapter], contents: Sequence[bytes], record: Record, there: Callable[[str], str]
) -> dict[int, str]:
    """The file of each chapter that an import had, by the number of the chapter."""
    found: dict[int, str] = {}
    free = dict(enumerate((*record.chapters, *record.gone)))

    def match(new: Callable[[int], object], old: Callable[[dict[str, Any]], object]) -> None:
        """Give chapters the files of those that are equal in one respect, in their order."""
        waiting: dict[object, deque[int]] = {}
        for number, chapter in free.items():
            waiting.setdefault(old(chapter), deque()).append(number)
        for at in range(len(chapters)):
            if at not in found and (numbers := waiting.get(new(at))):
                found[at] = str(free.pop(numbers.popleft())["file"])

    digests = [digest(content) for content in contents]
    match(lambda at: (digests[at], chapters[at].title), lambda old: (record.files.get(old["file"]), old.get("title")))
    match(lambda at: digests[at], lambda old: record.files.get(old["file"]))
    # Before the titles: a chapter that is inserted has the number, and so the title, of the one after it.
    new_texts = {at: content.decode() for at, content in enumerate(contents) if at not in found}
    if new_texts and free:
        pairs = alike(new_texts, {number: there(str(chapter["file"])) for number, chapter in free.items()})
        found |= {at: str(free.pop(number)["file"]) for at, number in pairs.items()}
    # The title of a chapter that is gone may be that of another one by now.
    free = {number: chapter for number, chapter in free.items() if number < len(record.chapters)}
    match(lambda at: (chapters[at].title, chapters[at].part), lambda old: (old.get("title"), old.get("part", "")))
    match(lambda at: chapters[at].title, lambda old: old.get("title"))
    return found
