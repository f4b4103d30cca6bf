"""Records of files as they were written, for those that have no place for a fingerprint."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from maya_batch.book.output_files import hidden_folder
from maya_batch.errors import MachineError
from maya_batch.files.atomic_write import write_atomic
from maya_batch.files.safe_open import safe_read

LARGEST = 64 * 2**20
"""The largest of these files, in bytes: subtitles of hundreds of hours."""


@cache
def _record() -> "TypeAdapter[dict[str, str]]":
    return TypeAdapter(dict[str, str])


def read_written(path: Path) -> bytes | None:
    """The content of a file; None if there is none that can be read."""
    try:
        return safe_read(path, LARGEST)
    except OSError:
        return None


class WrittenFiles:
    """A file in the folder `.maya` of one book: the sha256 of files as written, by their paths in the output folder."""

    def __init__(self, folder: Path, name: str) -> None:
        """`folder` is the book's output folder, `name` that of the record."""
        self._folder, self._path = folder, hidden_folder(folder) / name
        self._known: Mapping[str, str] = self._read()

    def paths(self) -> list[Path]:
        """All files, sorted; none outside the output folder."""
        found = (self._folder.joinpath(name) for name in sorted(self._known))
        return [path for path in found if ".." not in path.parts and path.is_relative_to(self._folder)]

    def has(self, path: Path) -> bool:
        """Whether a file of this name was written."""
        return self._name(path) in self._known

    def wrote(self, path: Path) -> bool:
        """Whether the file is as it was written."""
        content = read_written(path)
        return content is not None and self._known.get(self._name(path)) == _digest(content)

    def put(self, path: Path, content: bytes) -> None:
        """Record that this is about to be written.

        Raises:
            MachineError: the record cannot be written.
        """
        self._known = {**self._known, self._name(path): _digest(content)}
        write_atomic(self._path, json.dumps(self._known, indent=0).encode())

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def _read(self) -> dict[str, str]:
        try:
            return _record().validate_json(safe_read(self._path, LARGEST))
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError, RecursionError) as error:
            raise MachineError(f"{self._path}: not a list of written files; restore a copy, or remove it") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
