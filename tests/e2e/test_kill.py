"""A run may be killed at any moment: in the end, the book is the same as if it had never been."""

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pytest

from tests.support.demo import ROOT, Rendered, environment, interpreter, render_once, write_book
from tests.support.forked_run import launch_demo

#: Two books are rendered and killed side by side, each by a process of one thread.
TRACKS = 2
CHAPTERS = [
    ["Yes.", "Go on.", "Stop.", "Come in.", "Who?", "Look up.", "Not now.", "He ran."],
    ["Why?", "Oh!", "I see.", "Come back.", "Good.", "Never.", "My dog.", "End."],
]
CHUNKS = sum(map(len, CHAPTERS))


@dataclass
class Track:
    """What was done to the books of one track."""

    stored: list[int] = field(default_factory=list)
    """Takes in the store right after each kill."""
    finished: list[Path] = field(default_factory=list)


def takes(folder: Path) -> int:
    return sum(1 for _ in (folder / ".maya" / "takes").glob("??/*/*.npz"))


def start(book: Path, folder: Path) -> ForkServerProcess:
    """A run in a process that has all modules loaded: to be killed while it loads them takes nothing from a book."""
    log = folder.with_suffix(".log")
    command = ("render", book, "--output", folder, "--batch-size", "2")
    return launch_demo(*command, env=environment(), cwd=ROOT, out=log, err=log)


def ended(process: ForkServerProcess, seconds: float) -> bool:
    """Whether the process came to its end within so many seconds."""
    process.join(seconds)
    return process.exitcode is not None


def finish(process: ForkServerProcess, folder: Path) -> None:
    assert ended(process, 900), "it does not end"
    assert process.exitcode == 0, folder.with_suffix(".log").read_text(encoding="utf-8")


def kill_again_and_again(book: Path, home: Path, kills: int, outside: int, seed: int) -> Track:
    """Kill runs at random moments, so many of them before the first take or after the last one; a run that ends before
    its moment is a finished book, and a new one is begun.
    """
    randomly = random.Random(seed)
    track = Track()
    folder = home / f"{seed}-0"
    while len(track.stored) < kills:
        before = takes(folder)
        process = start(book, folder)
        try:
            if outside and randomly.random() < 0.15:
                over = ended(process, randomly.uniform(0, 3))  # while it loads, for the most part
            else:
                while not (over := ended(process, 0.01)) and takes(folder) == before:
                    pass
                over = over or ended(process, randomly.uniform(0, 3))
            if not over and (0 < takes(folder) < CHUNKS or outside):
                process.kill()
                assert ended(process, 10)
                assert process.exitcode == -signal.SIGKILL
                track.stored.append(takes(folder))
                outside -= not 0 < track.stored[-1] < CHUNKS
                continue
            finish(process, folder)
        finally:
            process.kill()
        track.finished.append(folder)
        folder = home / f"{seed}-{len(track.finished)}"
    if folder.exists():
        finish(start(book, folder), folder)
        track.finished.append(folder)
    return track


@pytest.mark.soak  # in CI, test_gguf_faults kills the demo voice, and test_faults a stand-in for it
@pytest.mark.parametrize(("kills", "outside"), [(2, 0), (10, 2)])
def test_a_killed_run_goes_on_to_the_same_book(
    kills: int, outside: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many kills in each track, `outside` of them at most not between its first and its last take."""
    began = time.monotonic()
    book = write_book(tmp_path / "book.yaml", CHAPTERS, formats=["wav", {"type": "mp3", "bitrate": "32k"}])
    reference = render_once(book, tmp_path / "reference", "--batch-size", "2", run=interpreter)
    assert len(reference.files()) == 4
    assert len(reference.takes()) == takes(reference.folder) == CHUNKS

    with ThreadPoolExecutor(TRACKS) as pool:
        tracks = list(pool.map(partial(kill_again_and_again, book, tmp_path, kills, outside), range(TRACKS)))

    stored = [count for track in tracks for count in track.stored]
    between = sum(0 < count < CHUNKS for count in stored)
    finished = [Rendered(book, folder, "") for track in tracks for folder in track.finished]
    with capsys.disabled():
        print(
            f"\n{len(stored)} kills, {between} between the first and the last of {CHUNKS} takes; "
            f"takes stored at each: {', '.join(map(str, stored))}; "
            f"{len(finished)} books finished; {time.monotonic() - began:.0f} s"
        )
    assert len(stored) == kills * TRACKS
    assert between >= len(stored) - outside * TRACKS
    for other in finished:
        assert [path.name for path in other.files()] == [path.name for path in reference.files()]
        for path, twin in zip(reference.files(), other.files(), strict=True):
            assert path.read_bytes() == twin.read_bytes(), twin
        for (_, take), (_, again) in zip(reference.takes(), other.takes(), strict=True):
            assert take.key == again.key
            assert np.array_equal(take.codes, again.codes)
        assert takes(other.folder) == CHUNKS  # none was rendered twice
        assert list(other.folder.rglob("*.part")) == []
