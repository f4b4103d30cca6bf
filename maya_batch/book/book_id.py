"""`.maya/book.yaml`: which book an output folder belongs to, and the versions of its rules."""

import os
import secrets
import unicodedata
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from maya_batch.book.model_lock_file import read_lock
from maya_batch.errors import MachineError
from maya_batch.files.atomic_write import write_atomic
from maya_batch.files.safe_open import safe_read
from maya_batch.files.yaml_content import content_of, parsed
from maya_batch.text.rules import TEXT_RULES

#: The current rules for assembling chapters; 2 has other pauses where a manifest sets none. A folder keeps the versions
#: of these and of the text rules that it was started with; version 0.1 wrote no book.yaml and had version 1 of both.
AUDIO_RULES = 2

_VERSION = 1
_HEAD = "# Which book this folder belongs to; written by maya-batch at the first render.\n"

#: The largest file, in bytes.
_LARGEST = 64 * 2**10


@dataclass(frozen=True)
class BookId:
    """The book of a folder."""

    id: str
    """32 random hexadecimal digits."""
    manifest: str
    """The manifest's file name."""
    path: str
    """The manifest's path, relative to the output folder."""
    title: str
    text_rules: int = TEXT_RULES
    audio_rules: int = AUDIO_RULES
    reports: dict[str, str] = field(default_factory=dict)
    """Reports of version 0.1, which carry no fingerprint: the sha256 of each by its name."""


def new_id() -> str:
    """A new random id."""
    return secrets.token_hex(16)


def path_from(folder: Path, manifest: Path) -> str:
    """The path of a manifest relative to an output folder; it stays the same if both are moved together."""
    return os.path.relpath(manifest.resolve(), folder.resolve())


def read_book_id(hidden: Path) -> BookId | None:
    """The book that a folder `.maya` belongs to; None if there is no folder, or version 0.1 made it.

    Raises:
        MachineError: the file is not valid, or a later version of this program started the book.
    """
    path = hidden / "book.yaml"
    try:
        data = parsed(safe_read(path, _LARGEST))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError, OverflowError, yaml.YAMLError) as error:
        raise _unreadable(path) from error
    if not isinstance(data, dict) or data.pop("version", None) != _VERSION or not _is_book(data):
        raise _unreadable(path)
    book = BookId(**data)
    if book.text_rules > TEXT_RULES or book.audio_rules > AUDIO_RULES:
        raise MachineError(f"{path}: this book was started with a later version of maya-batch; use that version")
    return book


def rules_of(folder: Path) -> tuple[int, int]:
    """The versions of the text and audio rules that the book in a folder was begun with; the newest for a new book.

    Raises:
        MachineError: a file of the folder `.maya` is not valid.
    """
    hidden = folder / ".maya"
    book = read_book_id(hidden)
    if book is not None:
        return book.text_rules, book.audio_rules
    begun = read_lock(hidden / "model.lock")["model"]
    return (1, 1) if begun else (TEXT_RULES, AUDIO_RULES)


def write_book_id(hidden: Path, book: BookId) -> None:
    """Write the file, whole or not at all.

    Raises:
        MachineError: it cannot be written.
    """
    write_atomic(hidden / "book.yaml", _HEAD.encode() + content_of({"version": _VERSION, **asdict(book)}))


def _is_book(data: dict[str, Any]) -> bool:
    """Whether these are the values of a `BookId`."""
    lines, names, rules = ("id", "title"), ("manifest", "path"), ("text_rules", "audio_rules")
    if set(data) != {*lines, *names, *rules, "reports"}:
        return False
    if not all(isinstance(data[name], str) and _is_line(data[name]) for name in lines):
        return False
    if not all(isinstance(data[name], str) and _is_file_name(data[name]) for name in names):
        return False
    if not all(type(data[name]) is int and data[name] > 0 for name in rules):
        return False
    reports = data["reports"]
    return isinstance(reports, dict) and all(isinstance(part, str) for pair in reports.items() for part in pair)


def _is_line(text: str) -> bool:
    """Whether a manifest may have it as a title, which may contain no-break spaces and invisible characters."""
    return all(unicodedata.category(character) not in ("Cc", "Cs") for character in text)


def _is_file_name(text: str) -> bool:
    """Whether a file can be called so: any character but NUL, and bytes that are not UTF-8."""
    return all(
        character != "\0" and (unicodedata.category(character) != "Cs" or "\udc80" <= character <= "\udcff")
        for character in text
    )


def _unreadable(path: Path) -> MachineError:
    # Without the file a folder counts as one of version 0.1, whose rules have other pauses and no lexicon.
    mend = "restore a copy of it, or delete it and run `render --adopt --upgrade-text`"
    return MachineError(f"{path}: not a book.yaml of this version; {mend}")
