"""The loudness of a chapter file by ITU-R BS.1770-4 (EBU R 128), as ffmpeg's filter `ebur128` measures it."""

import re
from pathlib import Path

from maya_batch.audio.ffmpeg import FfmpegError, file_url, run_for_log
from maya_batch.errors import MachineError

_ABSOLUTE_GATE = -70.0
"""LUFS (BS.1770-4, annex 1): what is softer does not count. ffmpeg gives this value where nothing does."""

_FILTERS = "aresample=48000,ebur128=framelog=quiet"
"""At 48 kHz, the rate the standard gives its filters for: at 24 kHz `ebur128` is 0.1 LU too loud."""

# In ffmpeg's log. Of several matches the last one counts: the file's own tags are logged before, and may hold anything.
_LAYOUT = re.compile(r"^\[info\] +Stream #0:0.*: Audio: .* Hz, ([^,]+)", re.MULTILINE)
_INTEGRATED = re.compile(r"^ *I: +(-?[\d.]+) LUFS$", re.MULTILINE)


def file_loudness(path: Path) -> float | None:
    """The integrated loudness of a chapter file, in LUFS, to a tenth; None below 400 ms of sound, and for silence.

    Raises:
        MachineError: the file is not there or not whole, it is not mono, or there is no ffmpeg.
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
        raise MachineError(f"{path}: its sound is {layouts[-1]}; chapters are mono: render it again")
    lufs = float(values[-1])
    return lufs if lufs > _ABSOLUTE_GATE else None
