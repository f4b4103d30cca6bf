"""What the report of a long book takes: seconds and bytes.

python -m tests.measure.report [HOURS]
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from maya_batch.audio.chapter_file import write_chapter
from maya_batch.audio.loudness import file_loudness
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.writers import Target
from maya_batch.quality import Problem
from maya_batch.report.audio_clip import make_clip, read_clip
from maya_batch.report.files import write_report
from maya_batch.report.model import MOST_TAKES, worst_takes
from tests.support.reports import chunk, report, voice

SECONDS = 16.4
"""Of a chunk of 40 words: ten hours are 2,200 of them."""


def main() -> None:
    """Print what each part takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hours", nargs="?", type=float, default=10.0)
    hours = parser.parse_args().hours
    figures: dict[str, float] = {"hours": hours}

    text = "the old man rowed the ferry across the black water and said nothing at all until morning " * 3
    wrong = Problem("words", "3 of 51 words were not heard: nothing at all")
    chunks = [
        chunk(
            f"{1 + number // 50}:{1 + number % 50}",
            text,
            heard=text.replace("nothing at all", "no thing", number % 2),
            word_error=(number % 10) / 50,
            problems=(wrong,) if number % 20 == 0 else (),
            seconds=SECONDS,
        )
        for number in range(round(hours * 3600 / SECONDS))
    ]
    night = report(*chunks)
    figures["chunks"] = len(chunks)

    start = time.monotonic()
    wave = voice(SECONDS)
    clips = {each.ref: read_clip(make_clip(wave, 24000)) for each in worst_takes(chunks)[:MOST_TAKES]}
    figures["clips_s"] = time.monotonic() - start
    with tempfile.TemporaryDirectory() as name:
        start = time.monotonic()
        page = write_report(Path(name), night, clips)
        figures["write_s"] = time.monotonic() - start
        figures["html_mb"] = page.stat().st_size / 1e6
        figures["json_mb"] = page.with_suffix(".json").stat().st_size / 1e6

        pcm = (wave * 32767).astype("<i2").tobytes()
        chapter = Target(Path(name) / "chapter.wav", "wav")
        write_chapter((pcm for _ in chunks), [chapter], TrackTags("", "", "", 1, 1, ""))
        start = time.monotonic()
        file_loudness(chapter.path)
        figures["loudness_s"] = time.monotonic() - start
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
