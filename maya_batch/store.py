"""Takes on disk, by key: `takes/ab/<key>/<attempt>.npz`, each written whole or not at all.

What cannot be read whole counts as missing and is said so.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from maya_batch.choices import Choices
from maya_batch.errors import MachineError, UsageError
from maya_batch.take import Take, read_small, read_take, write_take
from maya_batch.whole_file import write_whole

__all__ = ["Take", "TakeStore", "unlink_all"]

log = logging.getLogger(__name__)


class TakeStore:
    """The takes of one book, in its folder `.maya`."""

    def __init__(self, folder: Path) -> None:
        self._takes = folder / "takes"
        self._choices = Choices(folder / "choices.yaml")
        self._warned: set[Path] = set()

    def best_of(self, key: str, takes: Sequence[Take]) -> Take | None:
        """Of `all` takes of this key the one in use: the one a person chose, else the one with the fewest problems, of
        these the one with the least word error, and the oldest of equals; None where there is none.
        """
        if not takes:
            return None
        chosen = self.chosen(key)
        return min(
            takes, key=lambda take: (take.attempt != chosen, len(take.problems), _word_error(take), take.attempt)
        )

    def chosen(self, key: str) -> int | None:
        """The attempt that a person chose; None where nobody did."""
        return self._choices.get(key)

    def choose(self, key: str, attempt: int) -> None:
        """Use this attempt from now on, whatever is known of it.

        Raises:
            UsageError: there is no such take that can be read whole.
            MachineError: choices.yaml is none, or cannot be written.
        """
        there = [take.attempt for take in self.all(key)]
        if attempt not in there:
            raise UsageError(
                f"chunk {key[:8]} has no take {attempt}; there are: {', '.join(map(str, there)) or 'none'}"
            )
        self._choices.put(key, attempt)

    def unchoose(self, key: str) -> None:
        """Let the evidence say again which take is used.

        Raises:
            MachineError: choices.yaml is none, or cannot be written.
        """
        self._choices.put(key, None)

    def all(self, key: str) -> list[Take]:
        """All takes of this key that can be read whole, by attempt; the others are named on the log, once."""
        takes = []
        for path in self._files(key):
            try:
                takes.append(read_take(path, key))
            except Exception as error:
                # Any bit may have flipped, and there are many ways to fail over that: encrypted, no such compression, …
                if path not in self._warned:
                    log.warning("%s: not a whole take (%s); it counts as missing", path, error)
                    self._warned.add(path)
        return sorted(takes, key=lambda take: take.attempt)

    def put(self, takes: Sequence[Take]) -> None:
        """Store takes that ended together: all are on the disk before the first appears under its name.

        So a run that is killed leaves a batch stored or not, but for the instant of the renames.

        Raises:
            MachineError: the disk does not take them; none of them is half there.
        """
        written: list[tuple[Path, Path]] = []
        try:
            for take in takes:
                written.append(self._write_part(take))
            for part, path in written:
                self._set_aside(path)
                part.replace(path)
                path.with_suffix(".mp3").unlink(missing_ok=True)  # the sound of what was there before
            for folder in {path.parent for _, path in written}:
                _sync_folder(folder)
        except OSError as error:
            for part, _ in written:
                with contextlib.suppress(OSError):
                    part.unlink(missing_ok=True)
            raise MachineError(f"{self._takes}: a take cannot be stored ({error.strerror or error})") from error

    def clip(self, take: Take) -> bytes | None:
        """The sound of a take that was kept for reports; None where there is none that can be read."""
        try:
            return read_small(self._clip_path(take))
        except (OSError, ValueError):
            return None

    def put_clip(self, take: Take, mp3: bytes) -> None:
        """Keep the sound of a take, until the take is stored anew.

        Raises:
            MachineError: the disk does not take it.
        """
        write_whole(self._clip_path(take), mp3)

    def unused(self, keys: Collection[str]) -> Iterator[Path]:
        """The files of takes whose key is none of `keys`, and what killed runs left half written."""
        for path in sorted(self._takes.glob("??/*/*")):
            if path.parent.name not in keys or path.suffix not in (".npz", ".mp3") or path.name.startswith("."):
                yield path

    def _folder(self, key: str) -> Path:
        return self._takes / key[:2] / key

    def _files(self, key: str) -> list[Path]:
        """The files of all takes of this key. A folder's names alone: looking through a book is mostly this."""
        folder = self._folder(key)
        try:
            names = os.listdir(folder)  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [folder / name for name in sorted(names) if name.endswith(".npz")]

    def _clip_path(self, take: Take) -> Path:
        return self._folder(take.key) / f"{take.attempt}.mp3"

    def _write_part(self, take: Take) -> tuple[Path, Path]:
        """Write the take beside its place, through to the disk; the two paths."""
        path = self._folder(take.key) / f"{take.attempt}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.unlink(missing_ok=True)  # of a killed run, or no file at all
        try:
            with part.open("xb") as file:
                write_take(file, take)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            part.unlink(missing_ok=True)
            raise
        return part, path

    def _set_aside(self, path: Path) -> None:
        """Make room where something other than a file stands in a take's place, without losing it."""
        if path.is_dir() and not path.is_symlink():
            path.rename(path.with_name(f"{path.name}.aside-{os.getpid()}"))


def _word_error(take: Take) -> float:
    """The share of wrong words; of a take that nobody listened to, none is known."""
    return take.hearing.word_error if take.hearing else 0.0


def _sync_folder(folder: Path) -> None:
    """Make a rename in this folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unlink_all(paths: Iterable[Path]) -> int:
    """Remove these files, and folders that stood in a take's place; the bytes freed."""
    freed = 0
    for path in paths:
        freed += path.lstat().st_size
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        with contextlib.suppress(OSError):
            path.parent.rmdir()
    return freed
