"""How fast chapters are stitched, mastered and measured, in CPU time, and in how much memory:
`python -m tests.measure.mastering [MINUTES]`. ffmpeg's limiter is measured for comparison.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from maya_batch.audio.ffmpeg import file_url, run
from maya_batch.audio.file_sound import file_sound
from maya_batch.audio.mastering import ChapterMaster
from maya_batch.audio.stitch import Clip, segments
from maya_batch.manifest import Master
from tests.audio.test_loudness import speech

RATE, CLIP_SECONDS = 24000, 12.0
SETTINGS: tuple[object, ...] = ("podcast", "store", {"preset": "store", "room_tone": True, "even_chunks": True})


def clips(minutes: float) -> Iterator[Clip]:
    wave = (speech(CLIP_SECONDS) / 32768).astype(np.float32)
    for number in range(round(minutes * 60 / CLIP_SECONDS)):
        yield Clip(wave, 0.5, "ann" if number % 3 else "bert", str(number))


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def timed(name: str, minutes: float, work: Callable[[], object]) -> None:
    began, since = cpu_seconds(), time.monotonic()
    work()
    used, passed = cpu_seconds() - began, time.monotonic() - since
    print(f"{name}: {minutes * 60 / used:.0f}x real time in CPU time, {minutes * 60 / passed:.0f}x by the clock")


def master(settings: object, minutes: float, path: Path) -> None:
    chosen = Master.model_validate(settings)
    with tempfile.TemporaryFile(dir=path.parent) as spool, path.open("wb") as file:
        mastering = ChapterMaster(chosen, RATE, 1, spool)
        mastering.read(segments(clips(minutes), start=0.75, end=3.0))
        for pcm in mastering.pcm():
            file.write(pcm)


def main() -> None:
    minutes = float(sys.argv[1]) if sys.argv[1:] else 20.0
    with tempfile.TemporaryDirectory() as folder:
        raw, wav = Path(folder) / "a.raw", Path(folder) / "a.wav"
        master(SETTINGS[0], 0.5, raw)  # loads SciPy, which takes seconds once
        timed("stitched", minutes, lambda: sum(len(pcm) for pcm, _ in segments(clips(minutes), start=0.5, end=1.5)))
        for settings in SETTINGS:
            timed(f"stitched and mastered, {settings}", minutes, partial(master, settings, minutes, raw))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"most memory: {memory:.0f} MiB")
        soundfile.write(wav, np.fromfile(raw, "<i2"), RATE)
        timed("measured by `check`", minutes, lambda: file_sound(wav))
        filters = "aresample=192000,alimiter=limit=-12dB:level=0:latency=1,aresample=24000"
        timed(
            "ffmpeg's alimiter at 192 kHz",
            minutes,
            lambda: run(["-i", file_url(wav), "-af", filters, "-f", "null", "-"]),
        )


if __name__ == "__main__":
    main()
