"""The loudness of a chapter by ITU-R BS.1770-4, measured while its sound passes by."""

import os
import subprocess
import tempfile
from array import array
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maya_batch.audio.ffmpeg import ffmpeg_program
from maya_batch.errors import MachineError

# Of ITU-R BS.1770-4, annex 1: gating blocks of 400 ms, a new one every 100 ms; the absolute gate, in LKFS, and the
# relative one, in LU; and what equation 2 subtracts.
_HOPS_A_SECOND, _HOPS = 10, 4
_ABSOLUTE_GATE, _RELATIVE_GATE, _OFFSET = -70.0, -10.0, -0.691

_PIECE = 1 << 18
"""Samples that are weighted at a time."""
_DECODED_RATE = 48000
"""Hz to which compressed files are decoded: the rate the standard gives its filters for."""


class Loudness:
    """An ear on a stream of PCM. Of each second of sound it keeps 80 bytes, whatever the rate."""

    def __init__(self, rate: int) -> None:
        from pyloudnorm import IIRfilter

        # The two filters of K-weighting, as pyloudnorm.Meter sets them up.
        filters = [
            IIRfilter(4.0, 1 / np.sqrt(2), 1500.0, rate, "high_shelf"),
            IIRfilter(0.0, 0.5, 38.0, rate, "high_pass"),
        ]
        self._stages: list[tuple[Any, Any, NDArray[np.float64]]] = [(f.b, f.a, np.zeros(2)) for f in filters]
        self._rate = rate
        self._samples = 0
        self._powers = array("d")  # sums of squares of the weighted samples, hop by hop

    def add(self, wave: NDArray[Any], full_scale: float = 1.0) -> None:
        """Measure more of the sound: `wave` [samples], mono, where `full_scale` is the loudest."""
        from scipy.signal import lfilter

        for start in range(0, len(wave), _PIECE):
            piece = wave[start : start + _PIECE].astype(np.float64) / full_scale
            for number, (b, a, state) in enumerate(self._stages):
                piece, state = lfilter(b, a, piece, zi=state)
                self._stages[number] = (b, a, state)
            self._add_power(np.square(piece))

    @property
    def lufs(self) -> float | None:
        """The integrated loudness of all that was heard, in LUFS; None below 400 ms of sound, and for silence."""
        # As pyloudnorm counts blocks: the last one may lack up to half a hop.
        hops = self._samples * _HOPS_A_SECOND / self._rate
        if hops < _HOPS:
            return None
        blocks = round(hops - _HOPS) + 1
        powers = np.zeros(blocks + _HOPS - 1)
        kept = np.frombuffer(self._powers)[: len(powers)]
        powers[: len(kept)] = kept
        means = np.convolve(powers, np.ones(_HOPS), "valid") * (_HOPS_A_SECOND / _HOPS / self._rate)
        means = means[means >= _power(_ABSOLUTE_GATE)]
        if not len(means):
            return None
        means = means[means > _power(_loudness(means.mean()) + _RELATIVE_GATE)]
        return _loudness(means.mean())

    def _add_power(self, squares: NDArray[np.float64]) -> None:
        """Add up `squares`, which follow those before, by hops."""
        start, end = self._samples, self._samples + len(squares)
        first, last = start * _HOPS_A_SECOND // self._rate, (end - 1) * _HOPS_A_SECOND // self._rate
        # Where each hop begins, in samples of this piece; a hop that began earlier goes on at 0.
        edges = [max(0, -(-hop * self._rate // _HOPS_A_SECOND) - start) for hop in range(first, last + 1)]
        sums = np.add.reduceat(squares, edges)
        if first < len(self._powers):
            self._powers[first] += sums[0]
            sums = sums[1:]
        self._powers.extend(sums)
        self._samples = end


def file_loudness(path: Path) -> float | None:
    """The loudness of a chapter file as it lies there, in LUFS; None as for `Loudness.lufs`.

    Raises:
        MachineError: the file is not there or not whole, it is not mono, or there is no ffmpeg.
    """
    return _sound_file(path) if path.suffix.lower() in (".wav", ".flac") else _compressed(path)


def _sound_file(path: Path) -> float | None:
    import soundfile

    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            if file.channels != 1:
                raise MachineError(f"{path}: {file.channels} channels; chapters are mono: render it again")
            loudness = Loudness(file.samplerate)
            for wave in file.blocks(blocksize=_PIECE, dtype="float32"):
                loudness.add(wave)
    except (soundfile.LibsndfileError, OSError) as error:
        raise MachineError(f"{path}: cannot be read: {error}") from error
    return loudness.lufs


def _compressed(path: Path) -> float | None:
    loudness = Loudness(_DECODED_RATE)
    command = [ffmpeg_program(), "-hide_banner", "-nostdin", "-loglevel", "error", "-xerror"]
    # `file:` keeps ffmpeg from taking a colon in the name for a protocol.
    command += ["-i", f"file:{path.absolute()}", "-map", "0:a:0", "-ar", str(_DECODED_RATE), "-ac", "1"]
    command += ["-f", "f32le", "pipe:1"]
    with tempfile.TemporaryFile() as complaints:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, start_new_session=True) as process:
            assert process.stdout is not None  # it was asked for
            try:
                while piece := process.stdout.read(4 * _PIECE):
                    loudness.add(np.frombuffer(piece, "<f4"))
            except BaseException:
                process.kill()
                raise
        complaints.seek(0)
        if process.returncode:
            lines = complaints.read().decode(errors="replace").split("\n")
            raise MachineError(f"{path}: cannot be read: {next(filter(None, reversed(lines)), 'ffmpeg failed')}")
    return loudness.lufs


def _loudness(power: float) -> float:
    return float(_OFFSET + 10 * np.log10(power))


def _power(loudness: float) -> float:
    return float(10 ** ((loudness - _OFFSET) / 10))
