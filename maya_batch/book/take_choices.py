"""choices.yaml: the takes that a person chose, by key."""

import re
from pathlib import Path

import yaml

from maya_batch.errors import MachineError, UsageError
from maya_batch.files.atomic_write import write_atomic
from maya_batch.files.safe_open import safe_read
from maya_batch.manifest.yaml_positions import Data, load
from maya_batch.messages.quoting import quoted

#: The largest file, in bytes: more than 20,000 choices.
_LARGEST = 2 * 2**20

#: A number from 1; nine digits are far more than any take needs.
_ATTEMPT = re.compile(r"[1-9][0-9]{0,8}")


class Choices:
    """The choices of one book, one `<key>: <attempt>` per line; people may edit the file, too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, int] | None = None

    def get(self, key: str) -> int | None:
        """The chosen attempt, None without a choice.

        Raises:
            MachineError: the file is not a mapping of keys to attempts.
        """
        if self._known is None:
            self._known = self._parse(self._read())
        return self._known.get(key)

    def put(self, key: str, attempt: int | None) -> None:
        """Choose an attempt, or remove the choice with None; the rest of the file is kept, comments too.

        Raises:
            MachineError: the file is not a mapping of keys to attempts, or cannot be written.
            UsageError: its comments cannot be kept.
        """
        text = self._read()
        known = self._parse(text)
        wanted = {other: chosen for other, chosen in known.items() if other != key}
        if attempt is not None:
            wanted[key] = attempt
        if wanted != known:
            lines = [line for line in text.splitlines() if not line.lstrip("'\" ").startswith(key)]
            new = "\n".join([*lines, *([] if attempt is None else [_line(key, attempt)])])
            if not self._means(new, wanted):  # not written as one choice per line
                if "#" in text:
                    raise UsageError(f"{self._path}: a change would lose its comments; write one choice per line")
                new = "\n".join(_line(other, chosen) for other, chosen in wanted.items())
            write_atomic(self._path, f"{new}\n".encode())
        self._known = wanted

    def _means(self, text: str, wanted: dict[str, int]) -> bool:
        try:
            return self._parse(text) == wanted
        except MachineError:
            return False

    def _read(self) -> str:
        try:
            return safe_read(self._path, _LARGEST).decode("utf-8-sig")  # some editors mark the start of a file
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error

    def _parse(self, text: str) -> dict[str, int]:
        if not any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
            return {}  # for YAML this is no document
        source, findings = load(text.encode(), str(self._path))
        if source is None or findings:
            raise self._unreadable(ValueError(f"{findings[0].what} in line {findings[0].line}"))
        data = {} if source.data is None else source.data
        if not isinstance(data, dict):
            raise self._unreadable(ValueError("a list or a text"))
        try:
            return {key: _attempt(attempt) for key, attempt in data.items()}
        except ValueError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> MachineError:
        why = (error.strerror if isinstance(error, OSError) else None) or " ".join(str(error).split())
        return MachineError(f"{self._path}: not a mapping of keys to attempts ({why}); correct or delete it")


def _attempt(written: Data) -> int:
    if not isinstance(written, str) or not _ATTEMPT.fullmatch(written):
        raise ValueError(f"{quoted(written)} is not an attempt")
    return int(written)


def _line(key: str, attempt: int) -> str:
    return yaml.safe_dump({key: attempt}).strip()
