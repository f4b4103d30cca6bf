"""Reads the sound between the chapters of a book."""

import hashlib
import io
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from maya_batch.manifest.source_text import UnreadableError, read_bytes, way_out
from maya_batch.messages.quoting import quoted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST_JINGLE = 30.0
"""Seconds: more is music for its own sake, and is in each chapter's file."""
_SHORTEST = 0.1
_RATES = (8_000, 192_000)
"""Hz."""


@dataclass(frozen=True, eq=False)
class Jingle:
    """A sound, whole."""

    content: bytes = field(repr=False)
    samples: "NDArray[np.float32]" = field(repr=False)
    """[samples], mono, within -1..1: the mean of the channels."""
    sampling_rate: int
    """In Hz."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / self.sampling_rate

    @cached_property
    def digest(self) -> str:
        """The sha256 of the content, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()


class WrongJingleError(Exception):
    """The file is no jingle; the arguments are what is wrong, and how to correct it."""


def read_jingle(folder: Path, file: str) -> Jingle:
    """The jingle `file`, a path inside `folder`, which is resolved.

    Raises:
        WrongJingleError: it leads out of the folder, cannot be read, is no sound of one or two channels, or is too long
            or too short.
    """
    import numpy as np  # needed only where a book has a jingle
    import soundfile

    name = f"the jingle {quoted(file)}"
    how = way_out(folder, file)
    if how:
        raise WrongJingleError(f"{name} {how}", "move it into that folder and write its relative path")
    try:
        content = read_bytes(folder / file)
        with soundfile.SoundFile(io.BytesIO(content)) as sound:
            rate, channels = sound.samplerate, sound.channels
            if channels > 2 or not _RATES[0] <= rate <= _RATES[1]:
                what = f"{name} has {channels} channels at {rate} Hz"
                raise WrongJingleError(what, "convert it to a mono or stereo WAV of 44100 Hz")
            most = round(LONGEST_JINGLE * rate)
            samples = sound.read(most + 1, dtype="float32", always_2d=True).mean(axis=1)
    except UnreadableError as error:
        raise WrongJingleError(f"{name} {error}", "") from error
    except soundfile.LibsndfileError as error:
        raise WrongJingleError(f"{name} is not a WAV, FLAC, Ogg or MP3 file", "convert it") from error
    if len(samples) > most:
        raise WrongJingleError(f"{name} is longer than {LONGEST_JINGLE:g} s", "make it shorter")
    if len(samples) < _SHORTEST * rate:
        raise WrongJingleError(f"{name} has {len(samples) / rate:.2f} s", f"make it {_SHORTEST:g} s or longer")
    peak = float(np.abs(samples).max())
    if not 0 < peak < float("inf"):
        raise WrongJingleError(f"{name} {'has values that are no numbers' if peak else 'is silent'}", "save it again")
    return Jingle(content, (samples / max(1.0, peak)).astype(np.float32), rate)
