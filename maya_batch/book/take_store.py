"""Stores takes on disk by key: `takes/ab/<key>/<attempt>.npz`, each written whole or not at all.

A damaged take counts as missing, and is logged.

What an engine made is on the disk, synced with its folders, when `put` returns. What is found out about a take later,
its evidence, may be told to `keep`: it is read from then on, and is on the disk after `flush` at the latest. A process
that is killed before leaves the take as it was, to be examined again, and a power cut leaves the old file or the new
one, each whole.
"""

import contextlib
import logging
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from maya_batch.book.take import LARGEST, Take, read_take, write_take
from maya_batch.book.take_choices import Choices
from maya_batch.checkpoint.token_layout import TokenLayout
from maya_batch.errors import MachineError, UsageError
from maya_batch.files.atomic_write import part_of, remove_part, sync_folder, write_atomic, write_synced
from maya_batch.files.safe_open import is_inside, safe_folder, safe_read

__all__ = ["Take", "TakeStore", "unlink_all"]

log = logging.getLogger(__name__)

#: The names of a key's folder and of the files in it: takes, their clips, unfinished files, and damaged ones set aside.
_KEY = re.compile("[0-9a-f]{64}")
_FILE = re.compile(r"\.?\d+\.(npz|mp3)(\.part|\.aside-\d+)?")

#: The most takes whose evidence is only in memory, and how many seconds the first of them is: what a killed process
#: loses is examined again.
_MOST_KEPT, _KEPT_SECONDS = 32, 10.0

#: The most damaged takes that the log names as warnings; a damaged folder may have thousands.
_MOST_NAMED = 20


class TakeStore:
    """The takes of one book, in its folder `.maya`."""

    def __init__(self, folder: Path, codebook_size: int = TokenLayout().codebook_size) -> None:
        """`folder` is the book's `.maya`; takes with codes of `codebook_size` or more count as missing."""
        self._root, self._takes, self._codebook_size = folder, folder / "takes", codebook_size
        self._choices = Choices(folder / "choices.yaml")
        self._warned: set[str] = set()
        self._missing_choices: set[str] = set()
        """Keys of chosen takes that do not exist; each is logged once."""
        self._inside: set[str] = set()
        """The names of folders that are not links."""
        self._kept: dict[tuple[str, int], Take] = {}
        """By key and attempt, takes whose evidence is not on the disk yet, in the order in which they came."""
        self._kept_since = 0.0

    def best_of(self, key: str, takes: Sequence[Take]) -> Take | None:
        """The take in use, of all takes of this key: the one that a person chose, else the one with the fewest
        problems; of equals, a transcribed one before others, then the lowest word error, then the oldest. None without
        takes.
        """
        if not takes:
            return None
        chosen = self.chosen(key)
        missing = chosen is not None and all(take.attempt != chosen for take in takes)
        if missing and key not in self._missing_choices:
            self._missing_choices.add(key)
            log.warning("choices.yaml: chunk %s has no take %d; the take with the fewest problems is used", key, chosen)
        return min(takes, key=lambda take: (take.attempt != chosen, *_doubt(take), take.attempt))

    def chosen(self, key: str) -> int | None:
        """The attempt that a person chose; None without a choice."""
        return self._choices.get(key)

    def choose(self, key: str, attempt: int) -> None:
        """Use this attempt from now on, whatever its problems.

        Raises:
            UsageError: there is no such take, or it is damaged.
            MachineError: choices.yaml is not valid, or cannot be written.
        """
        attempts = [take.attempt for take in self.all(key)]
        if attempt not in attempts:
            raise UsageError(
                f"chunk {key[:8]} has no take {attempt}; there are: {', '.join(map(str, attempts)) or 'none'}"
            )
        self._choices.put(key, attempt)

    def unchoose(self, key: str) -> None:
        """Remove the choice, so that problems decide which take is used.

        Raises:
            MachineError: choices.yaml is not valid, or cannot be written.
        """
        self._choices.put(key, None)

    def all(self, key: str) -> list[Take]:
        """All takes of this key by attempt, without damaged ones, which are logged once."""
        takes = []
        for path in self._files(key):
            try:
                take = read_take(path, key, self._codebook_size)
                takes.append(self._kept.get((key, take.attempt), take))
            except PermissionError as error:
                # A new take would need the same name, so the run must stop.
                raise MachineError(f"{path}: cannot be read ({error.strerror})") from error
            except Exception as error:
                # Any bit may have flipped, which raises many kinds of errors: encrypted, unknown compression, …
                self._warn(path, getattr(error, "strerror", None) or error)
        return sorted(takes, key=lambda take: take.attempt)

    def put(self, takes: Sequence[Take]) -> None:
        """Store takes that ended together: all are on the disk before the first is renamed to its final name.

        A killed run leaves all of them stored or none, unless it is killed between the renames.

        Raises:
            MachineError: they cannot be written; unfinished files are removed.
        """
        written: list[tuple[Path, Path]] = []
        try:
            for take in takes:
                written.append(self._write_part(take))
            for take, (part, path) in zip(takes, written, strict=True):
                self._set_aside(path)
                part.replace(path)
                if not take.examined:  # its codes are new; else only what is known about it
                    path.with_suffix(".mp3").unlink(missing_ok=True)
                self._kept.pop((take.key, take.attempt), None)
            for folder in {path.parent for _, path in written}:
                sync_folder(folder)
        except OSError as error:
            for part, _ in written:
                remove_part(part)
            raise self._not_stored(error) from error

    def keep(self, take: Take) -> None:
        """Use this evidence of a stored take from now on; `flush` writes it, which also happens after some takes.

        Raises:
            MachineError: as `flush`.
        """
        if not self._kept:
            self._kept_since = time.monotonic()
        self._kept[take.key, take.attempt] = take
        if len(self._kept) >= _MOST_KEPT or time.monotonic() - self._kept_since >= _KEPT_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the evidence that is only in memory, one take after the other: the disk needs room for one more.

        The folders are not synced: if the rename is lost in a power cut, the take is there without this evidence.

        Raises:
            MachineError: it cannot be written; what is not written is still used.
        """
        for name, take in list(self._kept.items()):
            try:
                part, path = self._write_part(take)
                try:
                    self._set_aside(path)
                    part.replace(path)
                except OSError:
                    remove_part(part)
                    raise
            except OSError as error:
                raise self._not_stored(error) from error
            del self._kept[name]

    def clip(self, take: Take) -> bytes | None:
        """The clip of a take, stored for reports; None without a readable one."""
        try:
            return safe_read(self.clip_path(take), LARGEST)
        except OSError:
            return None

    def clip_path(self, take: Take) -> Path:
        """Where the clip of a take is stored."""
        return self._folder(take.key) / f"{take.attempt}.mp3"

    def put_clip(self, take: Take, mp3: bytes) -> None:
        """Store the clip of a take, until other codes are stored as this take.

        Raises:
            MachineError: it cannot be written.
        """
        write_atomic(self.clip_path(take), mp3)

    def keys(self) -> set[str]:
        """The keys of all takes on the disk, damaged or not."""
        return {key for folder, key in self._folders() if any(name.endswith(".npz") for name in _files_in(folder))}

    def unused(self, keys: Collection[str]) -> Iterator[Path]:
        """The files of takes whose key is not in `keys`, and unfinished files of killed runs."""
        for folder, key in self._folders():
            for name in _files_in(folder):
                if key not in keys or not name.endswith((".npz", ".mp3")) or name.startswith("."):
                    yield Path(folder, name)

    def _folders(self) -> Iterator[tuple[str, str]]:
        """The folders of all keys, sorted, and the keys. Links and folders with other names are ignored."""
        if is_inside(self._takes, self._root):
            for prefix in _folders_in(str(self._takes)):
                for key in _folders_in(f"{self._takes}/{prefix}"):
                    if _KEY.fullmatch(key) and key[:2] == prefix:
                        yield f"{self._takes}/{prefix}/{key}", key

    def _warn(self, path: str, why: object) -> None:
        """Log once that a take is damaged."""
        if path in self._warned:
            return
        self._warned.add(path)
        level = logging.WARNING if len(self._warned) <= _MOST_NAMED else logging.DEBUG
        log.log(level, "%s: damaged take (%s); it counts as missing", path, why)
        if len(self._warned) == _MOST_NAMED + 1:
            log.warning("more takes are damaged and count as missing; --verbose names them")

    def _folder(self, key: str) -> Path:
        return self._takes / key[:2] / key

    def _files(self, key: str) -> list[str]:
        """The files of all takes of this key. As strings: most of the time to read a book's state is spent here, and
        making a `Path` takes as long as listing a folder.
        """
        folder = f"{self._takes}/{key[:2]}/{key}"
        try:
            names = os.listdir(folder)  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            return []
        prefix = key[:2]
        if prefix not in self._inside and is_inside(self._takes / prefix, self._root):
            self._inside.add(prefix)
        if prefix not in self._inside or os.path.islink(folder):  # noqa: PTH114
            self._warn(folder, "the path has a link")
            return []
        return [f"{folder}/{name}" for name in sorted(names) if name.endswith(".npz")]

    def _write_part(self, take: Take) -> tuple[Path, Path]:
        """Write the take under another name, synced to the disk; return that path and the final one."""
        path = self._folder(take.key) / f"{take.attempt}.npz"
        safe_folder(self._root.parent, self._root.name, "takes", take.key[:2], take.key)
        part = part_of(path)
        write_synced(part, lambda file: write_take(file, take))
        return part, path

    def _not_stored(self, error: OSError) -> MachineError:
        return MachineError(
            f"{error.filename or self._takes}: a take cannot be stored ({error.strerror or str(error)})"
        )

    def _set_aside(self, path: Path) -> None:
        """Rename a damaged take, or a folder with the name of a take, to keep it.

        The folder may be a user's, and the drive may have misread the take only once.
        """
        if str(path) in self._warned or (path.is_dir() and not path.is_symlink()):
            self._warned.discard(str(path))
            with contextlib.suppress(FileNotFoundError):
                path.rename(path.with_name(f"{path.name}.aside-{time.time_ns()}"))


def _doubt(take: Take) -> tuple[int, bool, float]:
    """The sort key, lowest first: problems, not transcribed, word error. A take without a transcript may lack words."""
    return len(take.problems), take.transcript is None, take.transcript.word_error if take.transcript else 0.0


def _folders_in(folder: str) -> list[str]:
    """The names of the folders in a folder, sorted, without links."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def _files_in(folder: str) -> list[str]:
    """The names of takes' files in a folder, sorted, finished or not; folders and other names are ignored."""
    with os.scandir(folder) as entries:
        files = (entry for entry in entries if not entry.is_dir(follow_symlinks=False))
        return sorted(entry.name for entry in files if _FILE.fullmatch(entry.name))


def unlink_all(paths: Iterable[Path]) -> int:
    """Remove these files, and their folders if they become empty; return the bytes freed."""
    freed = 0
    for path in paths:
        freed += path.lstat().st_size
        path.unlink()
        with contextlib.suppress(OSError):
            path.parent.rmdir()
    return freed
