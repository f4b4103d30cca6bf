"""The sound of one take for the page: a small MP3 and a picture of its waveform."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maya_batch.audio.ffmpeg import REPRODUCIBLE, FfmpegError, run
from maya_batch.errors import MachineError

CLIP_BITRATE = "32k"
"""For an MP3 by LAME at 24 kHz mono: words and most faults are audible, at 4 kB a second."""
PICTURE_WIDTH, PICTURE_HEIGHT = 240, 40
"""The size of a clip's picture in SVG units: one peak for each unit of width."""

_DECODED_RATE = 16000  # Hz; enough for the picture


@dataclass(frozen=True)
class AudioClip:
    """The sound of a take and its picture."""

    mp3: bytes
    seconds: float
    picture: str
    """The `d` of an SVG path in a box of `PICTURE_WIDTH` x `PICTURE_HEIGHT`: the peaks of the waveform."""


def make_clip(waveform: NDArray[np.float32], rate: int) -> bytes:
    """Encode `waveform` [samples], -1 to 1, mono, at `rate` Hz as an MP3; the same waveform gives the same bytes.

    Raises:
        ValueError: the waveform is empty, not one-dimensional floats, or has samples that are not within -1..1.
        MachineError: ffmpeg is missing or failed.
    """
    if waveform.ndim != 1 or not len(waveform) or not np.issubdtype(waveform.dtype, np.floating):
        raise ValueError(f"shape {waveform.shape} of {waveform.dtype}, not one-dimensional floats")
    if not np.all(np.abs(waveform) <= 1):  # a NaN compares false
        raise ValueError("samples not within -1..1")
    arguments = ["-f", "f32le", "-ar", str(rate), "-ac", "1", "-i", "pipe:0"]
    # No Xing header: in a pipe, ffmpeg would leave its length empty; without one, browsers use the bitrate.
    arguments += ["-c:a", "libmp3lame", "-b:a", CLIP_BITRATE, "-write_xing", "0", "-id3v2_version", "0"]
    arguments += [*REPRODUCIBLE, "-f", "mp3", "pipe:1"]
    try:
        return run(arguments, waveform.astype("<f4").tobytes())
    except FfmpegError as error:
        raise MachineError(f"ffmpeg failed: {error}") from error


def read_clip(mp3: bytes) -> AudioClip:
    """Read an MP3 of `make_clip`, with its length and its picture.

    Raises:
        ValueError: it is not an MP3, or has no sound.
        MachineError: ffmpeg is missing.
    """
    arguments = ["-f", "mp3", "-i", "pipe:0", "-f", "s16le", "-ar", str(_DECODED_RATE), "-ac", "1", "pipe:1"]
    try:
        pcm = np.frombuffer(run(arguments, mp3), "<i2")
    except FfmpegError as error:
        raise ValueError(str(error)) from error
    if not len(pcm):
        raise ValueError("it has no sound")
    return AudioClip(mp3, len(pcm) / _DECODED_RATE, _picture(pcm))


def _picture(pcm: NDArray[np.int16]) -> str:
    """The peaks of `pcm` as a path: to the right along the upper edge, back along the lower one."""
    edges = np.linspace(0, len(pcm), PICTURE_WIDTH, endpoint=False).astype(int)
    peaks = np.maximum.reduceat(np.abs(pcm.astype(np.int32)), edges) / (1 << 15)
    middle = PICTURE_HEIGHT / 2
    # Silence is a thin line.
    heights = np.maximum(peaks * middle, 0.4)
    upper = [f"{x} {middle - height:.1f}" for x, height in enumerate(heights)]
    lower = [f"{x} {middle + height:.1f}" for x, height in reversed(list(enumerate(heights)))]
    return f"M{'L'.join(upper + lower)}Z"
