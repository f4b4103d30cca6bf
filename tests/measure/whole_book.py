"""How fast a book is stitched, mastered, encoded to MP3 and joined to an M4B, on all cores, and in how much memory:
`python -m tests.measure.whole_book [HOURS]`.

The sound is that of the stored book's takes, by the demo voice, over and over; decoding them is timed apart.
"""

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from maya_batch.audio.adts import read_stream
from maya_batch.audio.encoder_headroom import headroom
from maya_batch.audio.loudness import file_loudness
from maya_batch.audio.m4b import write_m4b
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.waveform_cache import WaveformCache, noise_seed
from maya_batch.audio.writers import Target
from maya_batch.book.chunk import Chunk
from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.book.take_store import Take
from maya_batch.checkpoint.locate import find_checkpoint
from maya_batch.checkpoint.token_layout import Codes
from maya_batch.manifest import Format, Master, Render
from maya_batch.quality.transcriber import cores
from maya_batch.run.chapter_job import ChapterJob
from maya_batch.run.loading import Loaders
from maya_batch.run.parallel import in_parallel

STORED = Path(__file__).parents[1] / "data" / "book-0.1" / "lamp.yaml"
CHAPTER_MINUTES = 30
TAGS = TrackTags("Title", "Book", "Author", 1, 1, "maya-batch x")


Clips: TypeAlias = list[tuple[Chunk, Take]]


class Decoded:
    """A decoder that has decoded all takes before, as `Decoder`."""

    def __init__(self, waves: dict[int, NDArray[np.float32]]) -> None:
        self._waves = waves

    def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
        return self._waves[seed]


def family_bytes() -> tuple[int, int]:
    """Resident bytes of this process, and of it and its children."""
    page, own, of_all = os.sysconf("SC_PAGE_SIZE"), 0, 0
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if os.getpid() in (parent, int(entry.name)):
                resident = page * int((entry / "statm").read_text().split()[1])
                of_all += resident
                own += resident if int(entry.name) == os.getpid() else 0
    return own, of_all


class MemoryWatch:
    """The most memory of this process, and of it with its ffmpegs."""

    def __init__(self) -> None:
        self.own = self.of_all = 0
        self._ended = Event()
        self._thread = Thread(target=self._watch)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.2):
            own, of_all = family_bytes()
            self.own, self.of_all = max(self.own, own), max(self.of_all, of_all)


def cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def decode(path: Path) -> None:
    """In a process of its own, since PyTorch takes memory: decode all takes of the stored book into a file."""
    plan = make_plan(STORED, Render())
    codec = Loaders().codec(find_checkpoint(plan.sound.codec, "codec").path, plan.layout, "cpu")
    found = [take for _, take in takes()]
    codec.decode(np.asarray(found[0].codes), 0)
    began, used, waves = time.monotonic(), cpu_seconds(), {}
    for take in found:
        seed = noise_seed(take.key, take.attempt)
        waves[str(seed)] = codec.decode(np.asarray(take.codes), seed)
    passed, used = time.monotonic() - began, cpu_seconds() - used
    seconds = sum(map(len, waves.values())) / plan.layout.sampling_rate
    print(f"decoding SNAC: {seconds / passed:.1f}x real time, {seconds / used:.1f}x in CPU time", flush=True)
    np.savez(path, **waves)  # type: ignore[arg-type]


def takes() -> Clips:
    """The chunks of the stored book with their takes."""
    state = book_state(make_plan(STORED, Render()), Machine())
    return [(chunk, take) for chunk in state.plan.chunks() if (take := state.take(chunk)) is not None]


def decoded() -> WaveformCache:
    """A cache whose decoder has decoded all takes before."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "waves.npz"
        process = multiprocessing.get_context("spawn").Process(target=decode, args=(path,))
        process.start()
        process.join()
        with np.load(path) as waves:
            return WaveformCache(partial(Decoded, {int(seed): waves[seed] for seed in waves.files}))


def jobs(clips: Clips, hours: float, folder: Path, master: Master | None) -> Iterator[ChapterJob]:
    """Chapters of half an hour."""
    seconds = 0.0
    for chunk, take in clips:
        seconds += len(take.codes) * 2048 / 24000 + chunk.pause
    times = max(1, round(min(CHAPTER_MINUTES, hours * 60) * 60 / seconds))
    for number in range(max(1, round(hours * 60 / CHAPTER_MINUTES))):
        repeated = [(replace(chunk, index=each + 1), take) for each, (chunk, take) in enumerate(clips * times)]
        targets = [Target(folder / f"{number}.aac", "m4b", "64k"), Target(folder / f"{number}.mp3", "mp3", "64k")]
        formats = [Format.model_validate({"type": target.type, "bitrate": target.bitrate}) for target in targets]
        room = headroom(formats, 24000)
        yield ChapterJob(repeated, targets, TAGS, 0.5, 1.5, 24000, master, number, folder, room)


def measure(
    name: str, hours: float, master: Master | None, clips: list[tuple[Chunk, Take]], cache: WaveformCache
) -> None:
    with tempfile.TemporaryDirectory() as temporary, MemoryWatch() as memory:
        folder, lengths = Path(temporary), list[float]()
        began, used = time.monotonic(), cpu_seconds()

        def write(job: ChapterJob, end: Callable[[], None]) -> float:
            seconds, _ = job.write(cache, end)
            file_loudness(job.targets[0].path)
            return seconds

        in_parallel(
            jobs(clips, hours, folder, master), write, lambda _, seconds: lengths.append(seconds), cores(), lambda: None
        )
        streams = [read_stream(folder / f"{number}.aac") for number in range(len(lengths))]
        joining = time.monotonic()
        write_m4b(folder / "book.m4b", streams, [f"{number}" for number in range(len(streams))], TAGS)
        joined = time.monotonic() - joining
        passed, used = time.monotonic() - began, cpu_seconds() - used
    seconds = sum(lengths)
    print(
        f"{name}: {seconds / 3600:.2f} h in {passed:.0f} s, {seconds / passed:.0f}x real time on {cores()} cores, "
        f"{seconds / used:.0f}x in CPU time; M4B joined in {joined:.1f} s; at most {memory.own >> 20} MiB, with ffmpeg "
        f"{memory.of_all >> 20} MiB",
        flush=True,
    )


def main() -> None:
    hours = float(sys.argv[1]) if sys.argv[1:] else 1.0
    clips, cache = takes(), decoded()
    measure("warming up", 0.05, Master.model_validate("podcast"), clips, cache)  # loads SciPy and more
    for preset in ("podcast", "store"):
        measure(preset, hours, Master.model_validate(preset), clips, cache)
    measure("without mastering", hours, None, clips, cache)


if __name__ == "__main__":
    main()
