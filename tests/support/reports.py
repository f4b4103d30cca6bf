"""Reports for tests: small ones to read, and one of a long book."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from maya_batch.book.character_accounting import Characters
from maya_batch.quality import Problem
from maya_batch.report.model import ChapterReport, ChunkReport, Report, count_problems

KEY = "a1b2" + "0" * 60


def chunk(ref: str = "1:1", text: str = "The night was dark.", **changes: object) -> ChunkReport:
    """A chunk that was heard as it is written, unless `changes` say otherwise."""
    made = ChunkReport(ref, text, KEY, 1, 1, (), 0.0, text, 4.2, False)
    return replace(made, **changes)  # type: ignore[arg-type]


def characters(chunks: tuple[ChunkReport, ...]) -> Characters:
    counts = []
    for each in chunks:
        part = "missing" if not each.attempt else "unheard" if each.heard is None else "heard"
        if each.problems:
            part = "waived" if each.chosen else "with_problems"
        zeros = dict.fromkeys(("heard", "unheard", "with_problems", "missing", "waived"), 0)
        counts.append(Characters(len(each.text), **(zeros | {part: len(each.text)})))
    return Characters.sum(counts)


def report(*chunks: ChunkReport, **changes: object) -> Report:
    """A run over a book of these chunks; each chapter has a file."""
    numbers = sorted({int(each.ref.split(":")[0]) for each in chunks})
    chapters = tuple(
        ChapterReport(
            number,
            f"Part {number}",
            f"{number:02}-part.mp3",
            61.4,
            -19.34,
            characters(tuple(each for each in chunks if each.ref.startswith(f"{number}:"))),
        )
        for number in numbers
    )
    made = Report(
        title="The Lamp on the Water",
        author="A. Writer",
        language="en",
        book="books/lamp.yaml",
        model="maya-research/maya1",
        engine="hf, bfloat16",
        started="2026-11-24T22:30:00+01:00",
        ended="2026-11-25T06:12:41+01:00",
        speech_hours=10.25,
        x_realtime=31.24,
        listening_seconds=12.5,
        retries=12,
        exit_code=3,
        exit_reason="all is rendered; 3 chunks have problems on record",
        problems_by_kind=count_problems(chunks),
        characters=characters(chunks),
        chapters=chapters,
        chunks=chunks,
        version="0.1.0",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def a_night() -> Report:
    """A night as it may come out, with something of everything."""
    cap = Problem("cap", "no end within 300 frames, 25.6 s: it may run on, or stop before the text does")
    words = Problem("words", "4 of 11 words were not heard: across the black water")
    text = "An old man rowed the <sigh> ferry across the black water in 1984."
    return report(
        chunk("1:1"),
        chunk(
            "1:2",
            text,
            attempt=3,
            attempts=3,
            problems=(cap, words),
            word_error=0.45,
            heard="an old man rode the ferry, ferry in nineteen eighty-four",
            unheard=(3, 7, 8, 9, 10),
            seconds=25.6,
        ),
        chunk("1:3", "“Who goes there?” she said.", heard=None, word_error=None),
        chunk("2:1", "Nobody answered.", problems=(cap,), heard="Nobody answered.", chosen=True),
        chunk(
            "2:2", "He waited until the morning came.", attempt=0, attempts=0, heard=None, word_error=None, seconds=0.0
        ),
        chunk("2:3", "Then the lamp went out.", word_error=0.2, heard="Then a lamp went out.", unheard=(1,)),
    )


def voice(seconds: float = 4.2, rate: int = 24000) -> NDArray[np.float32]:
    """Something with syllables and a pause in the middle, [samples]."""
    at = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 130 * k * at + k) / k for k in range(1, 8))
    swell = np.sin(np.pi * 3 * at) ** 2 * (abs(at - seconds / 2) > 0.3)
    wave: NDArray[np.float32] = (0.3 * buzz * swell).astype(np.float32)
    return wave
