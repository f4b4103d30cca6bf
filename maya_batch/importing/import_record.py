"""Reads import.json: what an import wrote, from which elements of the manuscript, and where all of its characters are.

Importing again compares with it. Version 1 has the keys

- `version`, `program`, `source` {`name`, `sha256`, `bytes`, `format`}, `remarks`
- `options`: what was asked to be read aloud, as on the command line
- `characters` {`spoken`, `announced`, `skipped` {reason: n}, `white_space`, `markup`, `total`}
- `files` {path: sha256}: what was written, by the path in the folder
- `book`: the values of book.yaml as they were written
- `chapters` [{`title`, `subtitle`, `part`, `skip`, `file`, `characters`, `paragraphs` [[file, element, kind]],
  `announced` [[file, element, kind]]}]: for each paragraph of a chapter file its place in the manuscript
- `gone` [as in `chapters`], only if there are any: chapters of earlier imports whose files may still be in the folder
- `unfinished` [sha256], only while files are written, and after an import that was killed: the new contents of files
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maya_batch.errors import UsageError
from maya_batch.files.safe_open import safe_read

NAME = "import.json"
VERSION = 1
_MOST_BYTES = 200_000_000
#: What an import writes: the paths of chapters, and the others. A record with another path would have it written to.
_CHAPTER = re.compile(r"chapters/[^/\0-\x1f\x7f\ud800-\udfff]+\.txt")
_OTHERS = frozenset({"book.yaml", "cover.jpg", "cover.png"})


@dataclass(frozen=True)
class Record:
    """The import.json of a folder."""

    source: str
    """The name of the manuscript's file."""
    title: str
    files: dict[str, str]
    """What was written: the sha256 by path."""
    book: dict[str, Any]
    """The values of book.yaml as strings, lists and mappings."""
    chapters: tuple[dict[str, Any], ...]
    gone: tuple[dict[str, Any], ...]
    """Chapters of earlier imports that the last one did not have."""
    unfinished: frozenset[str]
    """The sha256 of contents that an import began to write and did not come to record."""
    options: str | None
    """What was asked to be read aloud, as on the command line; None where a version did not record it."""
    data: dict[str, Any]
    """All of it as JSON has it."""

    def wrote(self, path: str, digest: str) -> bool:
        """Whether an import wrote the file with this content, not a person."""
        return digest == self.files.get(path) or digest in self.unfinished

    def with_unfinished(self, digests: Iterable[str]) -> bytes:
        """The content of the file while contents with these digests are written."""
        return to_json(self.data | {"unfinished": sorted(self.unfinished.union(digests))})


def to_json(data: dict[str, Any]) -> bytes:
    """The content of the file."""
    return (json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n").encode("utf-8", errors="replace")


def read_record(folder: Path) -> Record | None:
    """The record of a folder; None if it has none.

    Raises:
        UsageError: it is damaged, or of a newer version.
    """
    path = folder / NAME
    try:
        data = json.loads(safe_read(path, _MOST_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read ({error}); import into another folder with -o") from error
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise UsageError(f"{path}: is not of version {VERSION}; import into another folder with -o")
    source, files, book, chapters = (data.get(key) for key in ("source", "files", "book", "chapters"))
    unfinished, gone = data.get("unfinished", []), data.get("gone", [])
    if not (
        isinstance(source, dict)
        and isinstance(source.get("name"), str)
        and isinstance(files, dict)
        and all(isinstance(digest, str) and _is_ours(name) for name, digest in files.items())
        and isinstance(book, dict)
        and isinstance(unfinished, list)
        and all(isinstance(digest, str) for digest in unfinished)
        and isinstance(chapters, list)
        and isinstance(gone, list)
        and all(isinstance(chapter, dict) and _is_chapter(chapter) for chapter in (*chapters, *gone))
        and len({chapter["file"] for chapter in (*chapters, *gone)}) == len(chapters) + len(gone)
    ):
        raise UsageError(f"{path}: is damaged; import into another folder with -o")
    title = str(book.get("title", ""))
    options = data.get("options")
    return Record(
        source["name"],
        title,
        files,
        book,
        tuple(chapters),
        tuple(gone),
        frozenset(unfinished),
        options if isinstance(options, str) else None,
        data,
    )


def _is_chapter(chapter: dict[str, Any]) -> bool:
    """Whether the next import can compare with it and write its file again."""
    file = chapter.get("file")
    words = (chapter.get("title", ""), chapter.get("part", ""))
    return isinstance(file, str) and _CHAPTER.fullmatch(file) is not None and all(isinstance(x, str) for x in words)


def _is_ours(name: str) -> bool:
    """Whether a path of the record is one that an import writes."""
    return name in _OTHERS or _CHAPTER.fullmatch(name) is not None
