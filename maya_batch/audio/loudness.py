"""Measures the loudness of a chapter file by ITU-R BS.1770-4 (EBU R 128), with ffmpeg's filter `ebur128`."""

import re
from pathlib import Path

from maya_batch.audio.ffmpeg import FfmpegError, file_url, run_for_log
from maya_batch.errors import MachineError

_ABSOLUTE_GATE = -70.0
"""LUFS (BS.1770-4, annex 1): softer sound does not count. ffmpeg returns this value if no sound counts."""

_FILTERS = "aresample=48000,ebur128=framelog=quiet"
"""At 48 kHz, the rate of the standard's filters: at 24 kHz `ebur128` measures 0.1 LU too much."""

# Lines of ffmpeg's log. The last match counts: the file's own tags are logged first, and may contain anything.
_LAYOUT = re.compile(r"^\[info\] +Stream #0:0.*: Audio: .* Hz, ([^,]+)", re.MULTILINE)
_INTEGRATED = re.compile(r"^ *I: +(-?[\d.]+) LUFS$", re.MULTILINE)


def file_loudness(path: Path) -> float | None:
    """The integrated loudness of a chapter file in LUFS, to a tenth; None for silence and below 400 ms of sound.

    Raises:
        MachineError: the file is missing, incomplete or not mono, or ffmpeg is missing.
    """
    arguments = ["-nostats", "-xerror", "-i", file_url(path), "-map", "0:a:0", "-af", _FILTERS, "-f", "null", "-"]
    try:
        log = run_for_log(arguments)
    except FfmpegError as error:
        raise MachineError(f"{path}: cannot be read: {error}") from error
    layouts, values = _LAYOUT.findall(log), _INTEGRATED.findall(log)
    if not layouts or not values:
        raise MachineError(f"{path}: ffmpeg measured no loudness")
    if layouts[-1] != "mono":
        raise MachineError(f"{path}: the sound is {layouts[-1]}, but chapters are mono; render it again")
    lufs = float(values[-1])
    return lufs if lufs > _ABSOLUTE_GATE else None
