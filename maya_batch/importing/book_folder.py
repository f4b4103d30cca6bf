"""Plans what is written into the folder of an imported book, also when the manuscript is imported again.

Nothing that a person wrote is overwritten or removed: files are compared by their sha256 with what the last import
wrote. A file that only the manuscript changed is written again; one that only the person changed stays; where both
changed, the new version is written next to it as `NN-title.new.txt` or `book.new.yaml`. Files of chapters that are gone
stay.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maya_batch.errors import UsageError
from maya_batch.files.safe_open import safe_read
from maya_batch.importing import chapter_files
from maya_batch.importing.book_yaml import book_keys, chapter_keys, write_yaml
from maya_batch.importing.chapter_files import ChapterFile, digest, name_files
from maya_batch.importing.held_book import check_book, own_record
from maya_batch.importing.import_record import NAME as RECORD
from maya_batch.importing.import_record import Record
from maya_batch.importing.manuscript import Imported
from maya_batch.importing.merge import chapter_paths, merge, values_of
from maya_batch.importing.record_writer import record_content
from maya_batch.importing.yaml_edit import CannotEditError

BOOK = "book.yaml"
_COVERS = ("cover.jpg", "cover.png")
_MOST_BYTES = 200_000_000
_MOST_BOOK_BYTES = 20_000_000
"""The largest book.yaml and the largest chapter file that the manifest takes, in bytes."""
_MOST_VERSIONS = 1000


@dataclass
class FolderPlan:
    """What an import writes, and what it has to say; nothing is written yet."""

    folder: Path
    chapters: list[ChapterFile]
    record: Record | None
    """What the last import wrote; None if the folder is new."""
    writes: dict[str, bytes] = field(default_factory=dict)
    """By path in the folder, in the order in which they are written."""
    news: list[str] = field(default_factory=list)
    """New, changed and vanished chapters."""
    conflicts: list[str] = field(default_factory=list)
    """Where the person and the manuscript changed the same; both versions are there."""
    digests: dict[str, str] = field(default_factory=dict)
    """What import.json says of the files that this version wrote."""


def default_folder(manuscript: Path) -> Path:
    """The folder named after a manuscript, next to it."""
    folder = manuscript.with_suffix("")
    return folder if folder != manuscript else manuscript.with_name(f"{manuscript.name}-book")


def plan_folder(imported: Imported, folder: Path) -> FolderPlan:
    """What is to be written into `folder`.

    Raises:
        UsageError: the folder is not empty and not one of this manuscript, or a file in it is a link.
    """
    record = own_record(imported, folder)
    taken = _taken(folder, record) if record is not None else []
    chapters = name_files(imported.chapters, imported.reading, record, taken, lambda path: _text(folder / path))
    if record is not None:
        check_book(record, imported, chapters, folder)
    too_large = next((each for each in chapters if len(each.content) > _MOST_BOOK_BYTES), None)
    if too_large is not None:
        most = f"{_MOST_BOOK_BYTES // 1_000_000} MB"
        raise UsageError(f"{imported.name}: the chapter {too_large.chapter.title!r} has more than {most}; divide it")
    plan = FolderPlan(folder, chapters, record)
    if record is not None and record.options not in (None, imported.reading.options()):
        plan.news.append(f"other options than at the last import, which had {record.options or 'none'}")
    cover = imported.document.cover
    cover_name = f"cover{cover.suffix}" if cover is not None else ""
    taken_out = _taken_out(folder, record) if record is not None else frozenset()
    for each in chapters:
        if record is not None and each.path in taken_out:
            _plan_taken_out(plan, record, each)
        else:
            _plan_file(plan, record, each.path, each.content, each.chapter.title)
    if cover is not None:
        _plan_file(plan, record, cover_name, cover.content, "the cover")
    if record is not None:
        cover_name = _cover_in_use(plan, record, cover_name)
    keys = book_keys(imported.document.metadata, Path(imported.name).stem, cover_name)
    text = write_yaml(keys, [chapter_keys(each.chapter, each.path) for each in chapters], imported.name)
    values = values_of(text)
    _plan_book(plan, record, text, values)
    gone = _plan_gone(plan, record, taken_out) if record is not None else []
    plan.writes[RECORD] = record_content(imported, chapters, gone, plan.digests, values)
    return plan


def _plan_file(plan: FolderPlan, record: Record | None, path: str, content: bytes, title: str) -> None:
    """Plan a chapter file or the cover."""
    new, last = digest(content), record.files.get(path) if record is not None else None
    plan.digests[path] = new
    there = _content(plan.folder / path) if record is not None else None
    now = digest(there) if there is not None else None
    if now == new:
        return
    if record is None or now is None or record.wrote(path, now):
        plan.writes[path] = content
        if record is not None:
            plan.news.append(f"{'new' if last is None else 'changed'}: {path} ({title})")
    elif last == new:
        plan.news.append(f"kept as you edited it: {path}")
    else:
        other = _other_version(plan.folder, path, new)
        plan.writes[other] = content
        plan.conflicts.append(f"{path}: you and the manuscript changed it; yours stays, the new version is {other}")


def _plan_taken_out(plan: FolderPlan, record: Record, chapter: ChapterFile) -> None:
    """Plan the file of a chapter whose entry the person took out of book.yaml, or gave a file of another name."""
    path, new = chapter.path, digest(chapter.content)
    if record.files.get(path) == new and _content(plan.folder / path) is None:
        plan.digests[path] = new  # removed as well, and stays away
        return
    news, conflicts = len(plan.news), len(plan.conflicts)
    _plan_file(plan, record, path, chapter.content, chapter.chapter.title)
    if path in plan.writes and len(plan.conflicts) == conflicts:
        del plan.news[news:]
        what = f"the manuscript changed it, and {BOOK} no longer names it"
        plan.conflicts.append(f"{path}: {what}; the new version is there, and not in the book")


def _plan_gone(plan: FolderPlan, record: Record, taken_out: frozenset[str]) -> list[dict[str, Any]]:
    """Say which chapters are gone or back, and return those by which the next import knows one that comes back."""
    now = {each.path for each in plan.chapters}
    gone = [chapter for chapter in (*record.chapters, *record.gone) if chapter["file"] not in now]
    plan.news += [
        f"gone from the manuscript: {chapter['file']}, which "
        + (f"{BOOK} no longer names" if chapter["file"] in taken_out else "stays in the folder")
        for chapter in record.chapters
        if chapter["file"] not in now
    ]
    plan.news += [f"back in the manuscript: {chapter['file']}" for chapter in record.gone if chapter["file"] in now]
    paths = [str(chapter["file"]) for chapter in gone]
    plan.digests |= {path: record.files[path] for path in paths if path in record.files}
    return gone


def _cover_in_use(plan: FolderPlan, record: Record, new: str) -> str:
    """The cover that book.yaml names: a cover that the person changed stays if the new one has another name, or is
    missing.
    """
    old = record.book.get("cover")
    if not isinstance(old, str) or old == new or old not in _COVERS:
        return new
    there = _content(plan.folder / old)
    if there is None or record.wrote(old, digest(there)):
        return new
    known = old not in record.files
    if known and (not new or record.files.get(new) == plan.digests[new]):
        return old
    what = f"the new version is {new}" if new else "the manuscript no longer has one"
    plan.conflicts.append(f"{old}: you and the manuscript changed the cover; yours stays, {what}")
    return old


def _taken_out(folder: Path, record: Record) -> frozenset[str]:
    """The chapter files that the last import named in book.yaml, and that are no longer named there."""
    there = _content(folder / BOOK)
    try:
        named = chapter_paths(values_of(there.decode())) if there is not None else None
    except (CannotEditError, UnicodeDecodeError):
        named = None
    return chapter_paths(record.book) - named if named is not None else frozenset()


def _plan_book(plan: FolderPlan, record: Record | None, text: str, values: dict[str, object]) -> None:
    """Plan book.yaml: written as a whole if it is as the last import wrote it, else merged value by value."""
    content = text.encode()
    plan.digests[BOOK] = digest(content)
    there = _content(plan.folder / BOOK) if record is not None else None
    edited = _edited(plan.folder, record) if record is not None else frozenset[str]()
    gone_but_edited = edited - {each.path for each in plan.chapters}
    if record is None or there is None or (record.wrote(BOOK, digest(there)) and not gone_but_edited):
        if there != content:
            plan.writes[BOOK] = content
        if record is not None and there is None:
            plan.news.append(f"new: {BOOK}, which was no longer there")
        return
    try:
        merged = merge(record.book, there.decode(), values, edited)
    except (CannotEditError, UnicodeDecodeError):
        if values == record.book:
            return
        other = _other_version(plan.folder, BOOK, digest(content))
        plan.writes[other] = content
        plan.conflicts.append(f"{BOOK}: cannot be merged with your edits and stays; the new version is {other}")
        return
    if merged.text.encode() != there:
        plan.writes[BOOK] = merged.text.encode()
        plan.news.append(f"changed: {BOOK}, with your edits kept")
        # What stands there now differs from what this import would have written: it stays known as edited.
    if merged.conflicts:
        other = _other_version(plan.folder, BOOK, digest(content))
        plan.writes[other] = content
        plan.conflicts += [f"{BOOK}: {what}: yours stays, the new version is {other}" for what in merged.conflicts]


def _edited(folder: Path, record: Record) -> frozenset[str]:
    """The files besides book.yaml that a person edited since the last import."""
    contents = {path: _content(folder / path) for path in record.files if path != BOOK}
    return frozenset(
        path for path, there in contents.items() if there is not None and not record.wrote(path, digest(there))
    )


def _other_version(folder: Path, path: str, new: str) -> str:
    """A free name for the new version of a file: `NN-title.new.txt`, then `NN-title.new-2.txt`."""
    stem, _, suffix = path.rpartition(".")
    for number in range(1, _MOST_VERSIONS):
        name = f"{stem}.new{'' if number == 1 else f'-{number}'}.{suffix}"
        there = _content(folder / name)
        if there is None or digest(there) == new:
            return name
    raise UsageError(f"{folder / path}: has {_MOST_VERSIONS:,} new versions; remove those that you do not need")


def _content(path: Path) -> bytes | None:
    """The content of a file; None if it does not exist.

    Raises:
        UsageError: it is a link, a folder or unreadable.
    """
    try:
        return safe_read(path, _MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; move it away") from error


def _text(path: Path) -> str:
    """The text of a chapter file, as far as it can be read."""
    try:
        return (_content(path) or b"").decode(errors="replace")
    except UsageError:  # a link, say
        return ""


def _taken(folder: Path, record: Record) -> list[str]:
    """The names of chapter files that are there, without those of an import that was killed."""
    try:
        names = [path.name for path in (folder / chapter_files.FOLDER).iterdir()]
    except OSError:
        return []
    if not record.unfinished:
        return names
    paths = {name: f"{chapter_files.FOLDER}/{name}" for name in names}
    return [name for name, path in paths.items() if path in record.files or not _is_unfinished(folder / path, record)]


def _is_unfinished(path: Path, record: Record) -> bool:
    try:
        return digest(_content(path) or b"") in record.unfinished
    except UsageError:  # a folder, say
        return False
