"""choices.yaml: which of several takes a person wants, by key."""

from pathlib import Path

import yaml

from maya_batch.errors import MachineError
from maya_batch.whole_file import write_whole


class Choices:
    """The choices of one book, `<key>: <attempt>` a line; a person may write into the file too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, int] | None = None

    def get(self, key: str) -> int | None:
        """The attempt that was chosen; None where none was.

        Raises:
            MachineError: the file is not a mapping of keys to attempts.
        """
        if self._known is None:
            self._known = self._parse(self._read())
        return self._known.get(key)

    def put(self, key: str, attempt: int | None) -> None:
        """Choose an attempt from now on, None to choose none; all else in the file stays, comments too.

        Raises:
            MachineError: the file is not a mapping of keys to attempts, or cannot be written.
        """
        text = self._read()
        known = self._parse(text)
        wanted = {other: chosen for other, chosen in known.items() if other != key}
        if attempt is not None:
            wanted[key] = attempt
        if wanted != known:
            lines = [line for line in text.splitlines() if not line.lstrip("'\" ").startswith(key)]
            new = "\n".join([*lines, *([] if attempt is None else [_line(key, attempt)])])
            if not self._means(new, wanted):  # written in some other way that YAML has
                new = "\n".join(_line(other, chosen) for other, chosen in wanted.items())
            write_whole(self._path, f"{new}\n".encode())
        self._known = wanted

    def _means(self, text: str, wanted: dict[str, int]) -> bool:
        try:
            return self._parse(text) == wanted
        except MachineError:
            return False

    def _read(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error

    def _parse(self, text: str) -> dict[str, int]:
        try:
            data = yaml.safe_load(text) or {}
            return {str(key): int(attempt) for key, attempt in data.items()}
        except (ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> MachineError:
        why = " ".join(str(error).split())
        return MachineError(f"{self._path}: not a mapping of keys to attempts ({why}); mend or remove it")


def _line(key: str, attempt: int) -> str:
    return yaml.safe_dump({key: attempt}).strip()
