"""Measures a finished audio file as stores do: levels, peaks, noise in the pauses, head and tail, and its encoding."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maya_batch.audio.ffmpeg import FfmpegError, file_url, read_blocks
from maya_batch.audio.loudness_meter import Powers
from maya_batch.audio.true_peak import TruePeakMeter
from maya_batch.audio.writers import STREAM
from maya_batch.errors import MachineError

SILENT = -120.0
"""dB that stand for digital silence."""
_STEP_SECONDS = 0.01
_EDGE_BELOW = 25.0
"""dB below the file's RMS at which a step is no sound: head and tail end at the first and last one above."""
_QUIET_BELOW = 20.0
"""dB below the file's RMS at which a step may be part of a pause."""
_PAUSE_STEPS, _PAUSE_EDGE = 30, 8
"""Steps that a pause has at least, and those at its ends that do not count: words fade there."""


@dataclass(frozen=True)
class FileSound:
    """One file. Levels are in dB, relative to full scale."""

    seconds: float
    rms: float
    true_peak: float
    noise_floor: float
    """The RMS of its pauses; `SILENT` if these are digital silence."""
    head: float
    """Seconds before the first sound."""
    tail: float
    """Seconds after the last sound."""
    sampling_rate: int
    channels: int
    bitrate: int
    """In bits a second."""
    constant: bool
    """Whether the bitrate is constant; WAV and FLAC count as constant."""


def file_sound(path: Path) -> FileSound:
    """Measure a file; its level is the mean of its channels, its peak that of the loudest.

    Raises:
        MachineError: it cannot be read.
    """
    rate, channels, bitrate, constant = _encoding(path)
    step = round(rate * _STEP_SECONDS)
    arguments = ["-xerror", "-i", file_url(path), "-map", "0:a:0", "-f", "f32le", "pipe:1"]
    powers, square, samples = [np.zeros(0)], 0.0, 0
    peaks = [TruePeakMeter(rate) for _ in range(channels)]
    try:
        for data in read_blocks(arguments, 4 * channels * step * 1000):
            block = np.frombuffer(data, "<f4").reshape(-1, channels)
            samples += len(block)
            square += float(np.square(block, dtype=np.float64).sum()) / channels
            whole = len(block) // step * step
            powers.append(np.square(block[:whole].reshape(-1, step * channels), dtype=np.float64).mean(axis=1))
            for meter, channel in zip(peaks, block.T, strict=True):
                meter.add(channel)
    except FfmpegError as error:
        raise MachineError(f"{path}: cannot be read: {error}") from error
    steps = np.concatenate(powers)
    rms = _decibels(square / max(1, samples))
    loud = np.flatnonzero(steps > _power(rms - _EDGE_BELOW))
    seconds = samples / rate
    head = tail = seconds
    if len(loud):
        head, tail = float(loud[0]) * _STEP_SECONDS, max(0.0, seconds - float(loud[-1] + 1) * _STEP_SECONDS)
    peak = max(meter.peak() for meter in peaks)
    noise = _decibels(_pauses(steps, rms))
    return FileSound(seconds, rms, _decibels(peak**2), noise, head, tail, rate, channels, bitrate, constant)


def _pauses(steps: Powers, rms: float) -> float:
    """The mean power of the pauses; without one, of the quietest half second."""
    quiet = np.concatenate(([False], steps < _power(rms - _QUIET_BELOW), [False]))
    edges = np.flatnonzero(quiet[1:] != quiet[:-1]).reshape(-1, 2)
    inside = [
        steps[start + _PAUSE_EDGE : end - _PAUSE_EDGE] for start, end in edges.tolist() if end - start >= _PAUSE_STEPS
    ]
    if inside:
        return float(np.concatenate(inside).mean())
    window = min(50, len(steps))
    sums = np.concatenate(([0.0], np.cumsum(steps)))
    return float((sums[window:] - sums[:-window]).min() / window) if window else 0.0


def _encoding(path: Path) -> tuple[int, int, int, bool]:
    import mutagen
    from mutagen.aac import AAC
    from mutagen.mp3 import BitrateMode

    try:
        # By its tags, which are ID3, mutagen would take a stream of AAC for an MP3.
        file = AAC(path) if path.suffix == f".{STREAM}" else mutagen.File(path)
    except (mutagen.MutagenError, OSError) as error:
        raise MachineError(f"{path}: cannot be read: {error}") from error
    if file is None:
        raise MachineError(f"{path}: not an audio file")
    info = file.info
    mode = getattr(info, "bitrate_mode", BitrateMode.CBR)
    rate = int(getattr(info, "sample_rate", 48000))  # Opus always has 48 kHz
    return rate, int(info.channels), int(getattr(info, "bitrate", 0)), mode == BitrateMode.CBR


def _decibels(power: float) -> float:
    return max(SILENT, 10 * math.log10(power)) if power else SILENT


def _power(decibels: float) -> float:
    return float(10 ** (decibels / 10))
