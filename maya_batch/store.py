"""Takes on disk, by key: `takes/ab/<key>/<attempt>.npz`, each written whole or not at all.

A take is an ordinary npz of two arrays: `codes` (uint16, [frames, 7]) and `meta` (a JSON string). What cannot be read
whole counts as missing and is said so; nothing is ever unpickled.
"""

import contextlib
import io
import json
import logging
import os
import shutil
import zipfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maya_batch.choices import Choices
from maya_batch.engines import Finish
from maya_batch.errors import MachineError, UsageError
from maya_batch.quality import Hearing, Problem
from maya_batch.tokens import SLOTS, Codes
from maya_batch.whole_file import write_whole

log = logging.getLogger(__name__)

#: No honest take comes near: 8 MiB of codes are 13 hours of speech.
_LARGEST = 8 * 2**20


@dataclass(frozen=True)
class Take:
    """One rendering of one chunk, with its evidence. `seconds` is the time its share of the batch took."""

    key: str
    attempt: int
    codes: Codes
    seed: int
    finish: Finish
    problems: tuple[Problem, ...]
    engine: str
    seconds: float
    examined: bool = False
    """Whether its sound was looked at; before that, `problems` are those of its codes."""
    hearing: Hearing | None = None
    """What the last recognizer heard; None as long as none has listened."""


class TakeStore:
    """The takes of one book, in its folder `.maya`."""

    def __init__(self, folder: Path) -> None:
        self._takes = folder / "takes"
        self._choices = Choices(folder / "choices.yaml")
        self._warned: set[Path] = set()

    def best(self, key: str) -> Take | None:
        """The take in use for this key: the one a person chose, else the one with the fewest problems, of these
        the one with the least word error, and the oldest of equals; None where there is none that can be read whole.
        """
        takes = self.all(key)
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
        for path in sorted(self._folder(key).glob("*.npz")):
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
            return _read(self._clip_path(take), _LARGEST)
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

    def _clip_path(self, take: Take) -> Path:
        return self._folder(take.key) / f"{take.attempt}.mp3"

    def _write_part(self, take: Take) -> tuple[Path, Path]:
        """Write the take beside its place, through to the disk; the two paths."""
        path = self._folder(take.key) / f"{take.attempt}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        meta = {
            "key": take.key,
            "attempt": take.attempt,
            "seed": take.seed,
            "finish": take.finish,
            "problems": [[problem.kind, problem.detail] for problem in take.problems],
            "engine": take.engine,
            "seconds": round(take.seconds, 3),
            "examined": take.examined,
            "hearing": None if take.hearing is None else asdict(take.hearing),
        }
        part.unlink(missing_ok=True)  # of a killed run, or no file at all
        try:
            with part.open("xb") as file:
                np.savez(file, codes=take.codes, meta=np.array(json.dumps(meta)))
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


def read_take(path: Path, key: str) -> Take:
    """The take in this file.

    Raises:
        ValueError, OSError, zipfile.BadZipFile, …: anything about it is not as `TakeStore.put` wrote it.
    """
    data = _read(path, _LARGEST)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _LARGEST:
            raise ValueError("too large when unpacked")
        codes = _array(archive, "codes.npy")
        meta: dict[str, Any] = json.loads(str(_array(archive, "meta.npy")))
    if codes.dtype != np.uint16 or codes.ndim != 2 or codes.shape[1] != SLOTS:
        raise ValueError(f"codes of {codes.dtype} {list(codes.shape)}")
    if meta["key"] != key or meta["attempt"] != int(path.stem) or meta["finish"] not in ("eos", "cap", "broken"):
        raise ValueError("it is the take of another chunk")
    problems = tuple(Problem(str(kind), str(detail)) for kind, detail in meta["problems"])
    return Take(
        key,
        int(meta["attempt"]),
        codes,
        int(meta["seed"]),
        meta["finish"],
        problems,
        str(meta["engine"]),
        float(meta["seconds"]),
        bool(meta.get("examined", False)),  # takes of version 0.1 have no such evidence
        _hearing(meta.get("hearing")),
    )


def _read(path: Path, largest: int) -> bytes:
    """A file's bytes; no link is followed, and no device or pipe waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123  (a descriptor)
        data = file.read(largest + 1)
    if len(data) > largest:
        raise ValueError("too large")
    return data


def _hearing(meta: dict[str, Any] | None) -> Hearing | None:
    if meta is None:
        return None
    unheard = tuple(int(word) for word in meta["unheard"])
    return Hearing(str(meta["recognizer"]), str(meta["text"]), float(meta["word_error"]), unheard)


def _word_error(take: Take) -> float:
    """The share of wrong words; of a take that nobody listened to, none is known."""
    return take.hearing.word_error if take.hearing else 0.0


def _array(archive: zipfile.ZipFile, name: str) -> Any:
    """One array of an npz, its checksum checked."""
    return np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)


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
