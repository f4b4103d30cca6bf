"""What was measured and done when a chapter was assembled: loudness and pauses of its clips, and its mastering."""

import json
import logging
from collections.abc import Container
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from maya_batch.files.atomic_write import write_atomic
from maya_batch.files.safe_open import safe_read

log = logging.getLogger(__name__)

#: The largest file, in bytes: a million clips.
_LARGEST = 64 * 2**20


@dataclass(frozen=True)
class ClipSound:
    """One clip in its chapter."""

    lufs: float | None
    """Its loudness before mastering; None for silence and below 400 ms."""
    gain: float = 0.0
    """dB that its voice and itself were evened by."""
    step: float | None = None
    """LU by which it is louder than the clip of its voice before it, with both gains; None without two loudnesses."""
    spoken: tuple[int, int] | None = None
    """Where its first sound begins and its last one ends, in ms from the start of the file; None if it is not known."""
    quiet: tuple[tuple[int, int], ...] = ()
    """Start and end of each pause between them, in ms from the start of the file."""
    lead: int = 0
    """Where its first sound begins in its take, in ms."""

    def __post_init__(self) -> None:
        places = [] if self.spoken is None else [self.spoken[0], *chain(*self.quiet), self.spoken[1]]
        if places != sorted(places) or min([self.lead, *places]) < 0:
            raise ValueError(f"{places}: not a clip and its pauses in order")


@dataclass(frozen=True)
class ChapterSound:
    """One chapter."""

    clips: dict[str, ClipSound]
    """By the index of the chunk in its chapter, as text."""
    gain: float | None = None
    """dB that the whole chapter was raised by; None without mastering."""
    voices: dict[str, float] = field(default_factory=dict)
    """dB by voice."""
    missed: float = 0.0
    """dB that it lacks to its target."""
    over: float = 0.0
    """dB by which a peak of its encoded files is above the true peak of `master`."""


@cache
def _file() -> "TypeAdapter[dict[str, ChapterSound]]":
    """What reads and writes the file: most commands do neither."""
    return TypeAdapter(dict[str, ChapterSound])


class ChapterSounds:
    """The file `sound.json` of one book, by the fingerprint of a chapter's files. Reports and cues depend on it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "sound.json"

    def get(self, fingerprint: str) -> ChapterSound | None:
        """What was stored for the files with this fingerprint; None without it."""
        return self._read().get(fingerprint)

    def all(self) -> dict[str, ChapterSound]:
        """All that is stored."""
        return self._read()

    def put(self, fingerprint: str, sound: ChapterSound) -> None:
        """Store it.

        Raises:
            MachineError: the file cannot be written.
        """
        self._write(self._read() | {fingerprint: sound})

    def keep(self, fingerprints: Container[str]) -> None:
        """Remove all other fingerprints, which no file has any more.

        Raises:
            MachineError: the file cannot be written.
        """
        known = self._read()
        kept = {fingerprint: sound for fingerprint, sound in known.items() if fingerprint in fingerprints}
        if len(kept) < len(known):
            self._write(kept)

    def _write(self, sounds: dict[str, ChapterSound]) -> None:
        data = {fingerprint: asdict(sound) for fingerprint, sound in sounds.items()}
        write_atomic(self._path, json.dumps(data, allow_nan=False).encode())

    def _read(self) -> dict[str, ChapterSound]:
        try:
            return _file().validate_json(safe_read(self._path, _LARGEST))
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError, RecursionError) as error:
            log.debug("%s: %s; reports and cues do without what was measured", self._path, error)
            return {}
