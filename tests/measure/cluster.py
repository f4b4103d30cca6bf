"""How many takes a second a run with workers stores, and what its driver spends on each:

    python -m tests.measure.cluster [--takes 6000] [--sound] [--folder FOLDER] [WORKERS ...]

Workers are Ray actors on this machine with an engine that only waits: a step takes as long as one of an H200 does with
keys and values in 8 bits, for as many sequences as run. Plan, deal, checks, store, chapters and report are real. With
`--sound`, takes have waveforms of their length, so that their checks and the chapters cost what they do; else of 0.1 s.
No codec runs. 0 workers: this process generates, without Ray.

    python -m tests.measure.cluster --dealing [WORKERS ...]

What dealing requests, checking answers and collecting takes cost the driver, without Ray and without the rest of a run.
"""

import argparse
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maya_batch.bench.drawn_lengths import drawn_frames
from maya_batch.bench.workload import NOISE_ALLOWED
from maya_batch.book.settings import Machine
from maya_batch.checkpoint.token_layout import SLOTS, Codes, read_layout
from maya_batch.engine.api import NO_HOOKS, Decoding, Generation, Hooks, Request, Sampling
from maya_batch.messages.logs import log_to_terminal
from maya_batch.run.cluster.cluster_engine import ClusterEngine
from maya_batch.run.cluster.crew import Crew
from maya_batch.run.cluster.patience import Patience
from maya_batch.run.cluster.received_waveforms import ReceivedWaveforms
from maya_batch.run.loading import Loaders
from maya_batch.run.progress import LogProgress
from maya_batch.run.render import render_book
from maya_batch.run.result import IN_BACKGROUND
from tests.support.fake_ray import JOB, LOADED, FakeRay
from tests.support.fakes import FakeCodec, FakeEngine, TinyBook, write_codec, write_model
from tests.support.speech_codec import SpeechCodec

#: Of an H200, bfloat16 weights, keys and values in 8 bits (LOG.md, 2026-11-29): a step, and what a sequence adds.
STEP, PER_SEQUENCE = 1.46e-3, 21.7e-6
BATCH_SIZE = 512
PARAGRAPHS = 100  # of a chapter


class WaitingEngine(FakeEngine):
    """Its sequences end when those of a GPU would."""

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        decoding: Decoding,
        hooks: Hooks = NO_HOOKS,
    ) -> Iterator[list[Generation]]:
        waiting, running = list(requests), dict[str, list[Any]]()
        rng = np.random.default_rng(0)
        while waiting or running:
            waiting += hooks.later()
            for request in waiting[: self.batch_size - len(running)]:
                running[request.key] = [request, drawn_frames(request.seed, request.text)]
            del waiting[: self.batch_size - len(running)]
            waiting = [request for request in waiting if request.key not in running]
            frames = min(max(min(left for _, left in running.values()), 1), 10)
            time.sleep(frames * SLOTS * (STEP + PER_SEQUENCE * len(running)))
            hooks.tick()
            ended = []
            for key, place in list(running.items()):
                place[1] -= frames
                if place[1] <= 0:
                    request = running.pop(key)[0]
                    count = min(drawn_frames(request.seed, request.text), request.max_frames)
                    codes = rng.integers(1, self.layout.codebook_size, (count, SLOTS), np.uint16)
                    ended.append(Generation(key, codes, "eos"))
            if ended:
                yield ended


def load(name: str, folder: Path, **_: Any) -> WaitingEngine:
    """As `load_engine`."""
    return WaitingEngine(read_layout(folder), BATCH_SIZE)


class SoundCodec:
    """Waveforms of the length of the codes, cut from one that is made once."""

    def __init__(self) -> None:
        self._speech = SpeechCodec().decode(np.zeros((600, SLOTS), np.uint16), 0)

    def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
        return self._speech[: len(codes) * 2048].copy()


def measure(folder: Path, workers: int, takes: int, sound: bool) -> None:
    """Render a book with so many workers, and print a line."""
    folder.mkdir()
    write_model(folder / "lm")
    write_codec(folder / "codec")
    codec = SoundCodec() if sound else FakeCodec()
    book = TinyBook(folder, Loaders(engine=load, codec=lambda *_: codec, threaded=True))
    text = [f"Number {at} came that night, and " + "the river was high and " * 5 + "dark." for at in range(takes)]
    book.write(
        {f"Part {at}": text[at : at + PARAGRAPHS] for at in range(0, takes, PARAGRAPHS)},
        render={
            **{"model": "./lm", "codec": "./codec", "chunk_words": 40, "attempts": 1},
            "quality": NOISE_ALLOWED,  # else each would be encoded for the pages
        },
    )
    plan, began, spent = book.plan(), time.monotonic(), time.process_time()
    machine = Machine(device="cpu", workers=workers or None)
    result = render_book(plan, machine, LogProgress(), report=False, loaders=book.loaders)
    model, finishing = result.stages["model"], result.stages["finishing"]
    cpu, seconds = time.process_time() - spent, time.monotonic() - began
    background = (f"{name} {result.stages.get(name, 0.0):.1f}" for name in IN_BACKGROUND)
    print(
        f"{workers} workers: {takes} takes, {result.speech / 3600:.1f} h; loading {result.stages['loading']:.1f} s, "
        f"model {model:.1f}, finishing {finishing:.1f}, all {seconds:.1f}; {takes / (model + finishing):.0f} takes/s, "
        f"{result.speech / (model + finishing):.0f}x; driver {cpu:.1f} s of CPU, {1000 * cpu / takes:.2f} ms a take; "
        f"in the background: {', '.join(background)}",
        flush=True,
    )


def measure_dealing(workers: int, takes: int) -> None:
    """Print what a take costs; workers answer with five at a time."""
    ray = FakeRay(lambda number, call, held: held[:5], batch_size=BATCH_SIZE)
    crew = Crew(ray, JOB, {}, workers, Patience())
    crew.load(LOADED.identity)
    engine, began = ClusterEngine(crew, ReceivedWaveforms()), time.process_time()
    requests = [Request(str(number), "A voice.", "Yes.", number, 200) for number in range(takes)]
    made = sum(map(len, engine.generate(requests, Sampling(), "framed")))
    print(f"{workers} workers: {1e6 * (time.process_time() - began) / made:.1f} us a take, {made} takes", flush=True)


def main() -> None:
    """Print a line for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workers", nargs="*", type=int, default=[2, 4, 8, 16, 32, 64])
    parser.add_argument("--takes", type=int, default=6000)
    parser.add_argument("--sound", action="store_true")
    parser.add_argument("--folder", help="where the books are written, such as a memory file system")
    parser.add_argument("--dealing", action="store_true")
    options = parser.parse_args()
    if options.dealing:
        for workers in options.workers:
            measure_dealing(workers, options.takes)
        return
    log_to_terminal(quiet=True, verbose=False)
    logging.getLogger("maya_batch.run.postprocess").setLevel(logging.ERROR)
    with TemporaryDirectory(dir=options.folder) as name:
        for workers in options.workers:
            measure(Path(name) / f"{workers}", workers, options.takes, options.sound)


if __name__ == "__main__":
    main()
