"""Measures the loudness of a chapter file by ITU-R BS.1770-4 (EBU R 128)."""

import struct
import wave
from pathlib import Path

import numpy as np

from maya_batch.audio.ffmpeg import FfmpegError, file_url, read_blocks
from maya_batch.audio.loudness_meter import LoudnessMeter, Powers, loudness
from maya_batch.errors import MachineError

_AS_AU = ("-map", "0:a:0", "-c:a", "pcm_f32be", "-f", "au", "pipe:1")
"""The sound as a file of the simplest format that names its sampling rate and channels."""
_AU_HEADER = struct.Struct(">4s5I")
"""Magic number, offset of the sound in bytes, its size, its encoding, sampling rate, channels."""
_BLOCK_BYTES = 1 << 20


def file_loudness(path: Path) -> float | None:
    """The integrated loudness of a chapter file in LUFS, to a tenth; None for silence and below 400 ms of sound.

    Raises:
        MachineError: the file is missing, incomplete or not mono, or ffmpeg is missing.
    """
    powers = _powers_of_wav(path)
    lufs = loudness([_powers_by_ffmpeg(path) if powers is None else powers])
    return None if lufs is None else round(lufs, 1)


def _powers_of_wav(path: Path) -> Powers | None:
    """Those of a WAV file as chapters have it, without ffmpeg, whose start takes longer than to read a short chapter.

    None for any other file, and for one that is not whole: ffmpeg finds out what is wrong with it.
    """
    try:
        with path.open("rb") as content, wave.open(content) as file:
            if (file.getnchannels(), file.getsampwidth()) != (1, 2) or not file.getframerate():
                return None
            meter, left = LoudnessMeter(file.getframerate()), file.getnframes()
            while block := file.readframes(_BLOCK_BYTES // 2):
                left -= len(block) // 2
                meter.add(np.frombuffer(block, "<i2").astype(np.float32) / np.float32(32768))
    except (wave.Error, EOFError, OSError, ValueError):
        return None
    return None if left else meter.powers()


def _powers_by_ffmpeg(path: Path) -> Powers:
    meter = None
    try:
        for block in read_blocks(["-xerror", "-i", file_url(path), *_AS_AU], _BLOCK_BYTES):
            if meter is None:
                _, start, _, _, rate, channels = _AU_HEADER.unpack_from(block)
                if channels != 1:
                    raise MachineError(f"{path}: {channels} channels of sound, but chapters are mono; render it again")
                meter, block = LoudnessMeter(rate), block[start:]
            meter.add(np.frombuffer(block, ">f4").astype(np.float32))
    except FfmpegError as error:
        raise MachineError(f"{path}: cannot be read: {error}") from error
    if meter is None:
        raise MachineError(f"{path}: ffmpeg found no sound in it")
    return meter.powers()
