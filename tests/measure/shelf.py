"""Many books in one run, with an engine that does nothing but keep the time.

    python -m tests.measure.shelf many [--books 1000] [--chunks 20] [--folder FOLDER]
    python -m tests.measure.shelf half [--books 1000] [--chunks 20] [--folder FOLDER]
    python -m tests.measure.shelf gain [--books 10] [--chunks 20]

`many`: small books; the memory of the process along the run, takes a second, and how long the same command takes when
all is rendered. `half`: how long it takes to the first frame when half of the books are. `gain`: short books one by one
and in one run; the time of the engine is counted, not spent, at 1.46 ms a step and 0.0217 ms for each sequence (an
H200, bfloat16 with 8-bit keys and values).
"""

import argparse
import random
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import yaml

from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.checkpoint.locate import DEMO, find_checkpoint
from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout, read_layout
from maya_batch.engine.api import NO_HOOKS, Decoding, Generation, Hooks, Request, Sampling
from maya_batch.manifest import Render
from maya_batch.run.loading import Loaders
from maya_batch.run.progress import ProgressListener
from maya_batch.run.render import render_book
from maya_batch.run.shelf import ShelfRun
from tests.measure.memory import resident_mib
from tests.support.fakes import FakeCodec, FakeEngine

#: Seconds of a step, and for each sequence in it.
_STEP, _SEQUENCE = 1.46e-3, 0.0217e-3

_WORDS = "night was dark and the old house stood alone upon hill while rain fell softly over garden of roses".split()  # noqa: SIM905


class ClockEngine(FakeEngine):
    """Decodes in lockstep, as the real ones, and counts the seconds that the frames would take."""

    def __init__(self, layout: TokenLayout, batch_size: int, before_frame: Callable[[], None] = lambda: None) -> None:
        super().__init__(layout, batch_size)
        self.seconds, self.busy, self.frames = 0.0, 0, 0
        self._before_frame = before_frame

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        hooks: Hooks = NO_HOOKS,
    ) -> Iterator[list[Generation]]:
        waiting, running = deque(requests), dict[str, tuple[Request, int]]()
        while waiting or running:
            waiting.extendleft(reversed(hooks.retries()))
            if not waiting:
                waiting += hooks.later()
            while waiting and len(running) < self.batch_size:
                request = waiting.popleft()
                running[request.key] = request, self._needed(request)
            self._before_frame()
            # All frames until the next end.
            frames = min(left for _, left in running.values())
            self.frames += frames
            self.busy += frames * len(running)
            self.seconds += frames * SLOTS * (_STEP + _SEQUENCE * len(running))
            ended = [request for request, left in running.values() if left == frames]
            running = {key: (r, left - frames) for key, (r, left) in running.items() if left > frames}
            yield [self._made(request) for request in ended]
            if waiting or running:
                hooks.tick()

    def _needed(self, request: Request) -> int:
        return min(max(round(request.likely_frames * random.Random(request.seed).uniform(0.85, 1.15)), 4), 500)

    def _made(self, request: Request) -> Generation:
        rng = np.random.default_rng(request.seed)
        size = (min(self._needed(request), request.max_frames), SLOTS)
        return Generation(request.key, rng.integers(0, self.layout.codebook_size, size).astype(np.uint16), "eos")


def write_books(folder: Path, books: int, chunks: int, words: int, formats: Sequence[str] = ("wav",)) -> list[Path]:
    """Books of paragraphs of about so many words, one chunk each, in chapters of ten."""
    rng, paths = random.Random(0), []
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(books):
        texts = [
            f"{' '.join(rng.choices(_WORDS, k=rng.randint(words // 3, words * 5 // 3)))} {number} {at}.".capitalize()
            for at in range(chunks)
        ]
        chapters = [{"title": f"Part {at}", "text": "\n\n".join(texts[at : at + 10])} for at in range(0, chunks, 10)]
        book = {
            "title": f"Book {number:04}",
            "voices": {"narrator": "Realistic male voice in the 40s age with american accent."},
            "render": {"model": "demo", "attempts": 1, "quality": {}},
            "output": {"formats": list(formats)},
            "chapters": chapters,
        }
        path = folder / f"book-{number:04}.yaml"
        path.write_text(yaml.safe_dump(book, sort_keys=False), encoding="utf-8")
        paths.append(path)
    return paths


def _loaders(engine: FakeEngine) -> Loaders:
    return Loaders(engine=lambda *_, **__: engine, codec=lambda *_: FakeCodec(), threaded=True)


def _shelf(paths: Sequence[Path], engine: FakeEngine) -> ShelfRun:
    machine = Machine(device="cpu", verify="off")
    return ShelfRun(
        paths, lambda path: make_plan(path, Render()), machine, ProgressListener(), loaders=_loaders(engine)
    )


class StopHereError(Exception):
    """The run is stopped half-way."""


def many(folder: Path, books: int, chunks: int) -> None:
    """Print the memory along a run over many books, and its speed; and that of runs with nothing or half to do."""
    paths = write_books(folder, books, chunks, 12)
    layout = read_layout(find_checkpoint(DEMO, "model").path)
    most, done = 0.0, 0

    def watch() -> None:
        nonlocal most, done
        most = max(most, resident_mib())
        finished = sum(book.exit_code is not None for book in shelf.result.books)
        if finished >= done + books // 10:
            done = finished
            open_books = len(shelf._books.all)
            print(f"{finished:5} books: {resident_mib():.0f} MiB, {open_books} open, {time.monotonic() - began:.1f} s")

    began, cpu = time.monotonic(), time.process_time()
    shelf = _shelf(paths, ClockEngine(layout, 512, watch))
    result = shelf.run()
    spent, busy = time.monotonic() - began, time.process_time() - cpu
    each = f"{result.chunks / spent:.0f} a second, {1000 * busy / result.chunks:.2f} ms of a core each"
    print(f"{result.chunks} takes in {spent:.1f} s: {each}, most {most:.0f} MiB")
    assert (result.exit_code, result.chunks) == (0, books * chunks)
    began, cpu = time.monotonic(), time.process_time()
    assert _shelf(paths, ClockEngine(layout, 512)).run().chunks == 0
    print(f"again, with nothing to do: {time.monotonic() - began:.1f} s, {time.process_time() - cpu:.1f} s of a core")


def half(folder: Path, books: int, chunks: int) -> None:
    """Print how long a run takes from its start to the first frame, if half of the books are rendered."""
    paths = write_books(folder, books, chunks, 12)
    layout = read_layout(find_checkpoint(DEMO, "model").path)
    _shelf(paths[: books // 2], ClockEngine(layout, 512)).run()

    def stop() -> None:
        raise StopHereError

    began, cpu = time.monotonic(), time.process_time()
    try:
        _shelf(paths, ClockEngine(layout, 512, stop)).run()
    except StopHereError:
        spent, busy = time.monotonic() - began, time.process_time() - cpu
        print(f"half done: the first frame after {spent:.1f} s, {busy:.1f} s of a core")


def gain(folder: Path, books: int, chunks: int) -> None:
    """Print the engine's time for short books one by one, and in one run."""
    layout = read_layout(find_checkpoint(DEMO, "model").path)
    paths = write_books(folder, books, chunks, 30)
    speech = 0.0
    alone = ClockEngine(layout, 512)
    for path in paths:
        plan = make_plan(path, Render())
        machine = Machine(device="cpu", verify="off")
        out = folder / "alone" / path.stem
        speech += render_book(plan, machine, ProgressListener(), out, loaders=_loaders(alone)).speech
    together = ClockEngine(layout, 512)
    _shelf(paths, together).run()
    for name, engine in (("one by one", alone), ("in one run", together)):
        print(
            f"{name}: {engine.seconds:.1f} s for {speech / 60:.1f} minutes of speech ({speech / engine.seconds:.0f}x), "
            f"{engine.busy / engine.frames:.0f} sequences on average"
        )
    print(f"{alone.seconds / together.seconds:.2f} times as fast")


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["many", "half", "gain"])
    parser.add_argument("--books", type=int)
    parser.add_argument("--chunks", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="Where the books are written. Default: a temporary folder.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = asked.folder or Path(name)
        if asked.what == "gain":
            gain(folder, asked.books or 10, asked.chunks)
        else:
            {"many": many, "half": half}[asked.what](folder, asked.books or 1000, asked.chunks)


if __name__ == "__main__":
    main()
