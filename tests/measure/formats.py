"""How fast each audio format is encoded, and chapters are joined to an M4B of 12 hours.

`python -m tests.measure.formats`
"""

import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from maya_batch.audio.adts import read_stream
from maya_batch.audio.chapter_file import write_chapter
from maya_batch.audio.m4b import write_m4b
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.writers import FORMATS, Target

RATE = 24000
TAGS = TrackTags("a", "b", "c", 1, 1, "x")
MINUTES = 5


def main() -> None:
    """Print the speeds."""
    at = np.arange(RATE * 60)
    noise = np.random.default_rng(0).standard_normal(len(at)) * np.sin(at / 4000) ** 2
    minute = (2000 * noise).astype("<i2").tobytes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in FORMATS:
            began = time.monotonic()
            write_chapter((minute for _ in range(MINUTES)), [Target(folder / f"a.{kind}", kind)], TAGS)
            print(f"{kind}: {60 * MINUTES / (time.monotonic() - began):.0f}x real time", flush=True)
        chapters = 12 * 60 // MINUTES
        stream, began = read_stream(folder / "a.m4b"), time.monotonic()
        write_m4b(folder / "book.m4b", [stream] * chapters, [f"{n}" for n in range(chapters)], TAGS)
        size = (folder / "book.m4b").stat().st_size / 1e6
        print(f"12 hours joined in {time.monotonic() - began:.1f} s, {size:.0f} MB")
    for who, which in (("this process", resource.RUSAGE_SELF), ("largest ffmpeg", resource.RUSAGE_CHILDREN)):
        print(f"{who}: {resource.getrusage(which).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
