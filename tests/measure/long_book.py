"""How long `status` and a resumed `render` take over a book of ten hours, and how much memory:
`python -m tests.measure.long_book [HOURS]`. Wanted are under 2 seconds and 300 MiB each.

The engine and the codec are fakes; plan, store, files and report are what runs in every night.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from maya_batch.book.model_lock import ModelConfig
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.book.take_store import Take
from maya_batch.run.generate import sequence_seed
from tests.support.fakes import TinyBook, write_codec, write_model

#: Words that are read in an hour, and of one paragraph, which is one chunk.
PACE, PARAGRAPH = 9000, 36
PARAGRAPHS = 100  # of a chapter
NAMES = [
    f"{first}{last}"
    for first in ("Ann", "Bert", "Car", "Dor", "El", "Fran")
    for last in ("a", "o", "y", "in", "is", "el")
]


def _names(at: int) -> str:
    """Three names, others for each number: no two paragraphs are alike, and as in most books few have numbers."""
    return ", ".join(NAMES[at // len(NAMES) ** place % len(NAMES)] for place in range(3))


def measure(name: str, module: str, *arguments: object) -> None:
    """Run a command; print its seconds and its peak memory."""
    began = time.monotonic()
    command = [sys.executable, "-m", module, *map(str, arguments)]
    env = {**os.environ, "FAKE_RUN": json.dumps({})}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env) as process:
        assert process.stderr is not None
        said = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    print(f"{name}: {time.monotonic() - began:.2f} s, {usage.ru_maxrss / 1024:.0f} MiB, exit code {process.returncode}")
    if process.returncode not in (0, 3):
        print(said)


def main() -> None:
    """Make the book with its takes, and measure."""
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "lm")
        write_codec(folder / "codec")
        book = TinyBook(folder)
        count = round(hours * PACE / PARAGRAPH)
        text = [f"{_names(at)} came that night and " + "the river was high and " * 6 + "dark." for at in range(count)]
        book.write(
            {f"Part {at}": text[at : at + PARAGRAPHS] for at in range(0, count, PARAGRAPHS)},
            render={"model": "./lm", "codec": "./codec", "chunk_words": 40},
        )
        plan = book.plan()
        state = book_state(plan, Machine())
        lock = state.lock
        lock.locate(plan.sound.model, "model")
        state.model_config = ModelConfig(lock.identity(plan.sound.model, "model"), "float32", "none", "framed")
        lock.pin(plan.sound.model, state.model_config)
        state.folder.joinpath(".maya").mkdir(parents=True)
        lock.save()
        rng = np.random.default_rng(0)
        for chunk in plan.chunks():
            key = state.key(chunk)
            codes = rng.integers(1, 64, (chunk.expected_frames, 7)).astype(np.uint16)
            take = Take(key, 1, codes, sequence_seed(key, 1), "eos", (), "hf float32 none", examined=True)
            state.store.put([take])
        print(f"{hours:g} hours: {sum(1 for _ in plan.chunks())} chunks in {len(plan.chapters)} chapters")
        measure("render, which puts all chapters together", "tests.support.fake_run", "render", book.path)
        measure("status", "maya_batch", "status", book.path)
        measure("render, nothing to do", "maya_batch", "render", book.path)
        next(iter(sorted(book.output.rglob("*.npz")))).unlink()
        measure("render, one chunk to do", "tests.support.fake_run", "render", book.path)


if __name__ == "__main__":
    main()
