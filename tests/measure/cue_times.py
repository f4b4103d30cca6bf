"""How far the times of sentences inside a take are from the truth, which is known because the take is joined here.

    python -m tests.measure.cue_times FOLDER TEXT [TEXT ...] [--hear tiny.en]

TEXT are plain text files, from which the demo voice speaks sentences; its takes stay in FOLDER and are used again. Two
to four takes of one voice are joined with pauses like the voice's own between sentences (0.40 to 0.57 s).
"""

import argparse
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from maya_batch.audio.quiet import sounding
from maya_batch.book.sentence_times import ClipPauses, expected_length, sentence_times
from maya_batch.manifest import Quality
from maya_batch.quality.hearing import Recognizer, SpokenTake
from maya_batch.quality.whisper import listen, load_recognizer
from maya_batch.quality.word_times import heard_starts
from tests.support.fault_injection import RATE
from tests.support.good_takes import Line, Spoken, draw_lines, speak

PAUSES = (0.40, 0.57)
"""Seconds, of 16 takes of two sentences."""


@dataclass(frozen=True)
class Joined:
    """A take of several sentences."""

    lines: Sequence[Line]
    wave: NDArray[np.float32]
    starts: Sequence[float]
    """Seconds, where the first sound of each sentence is."""

    @property
    def texts(self) -> list[str]:
        """The sentences."""
        return [line.text for line in self.lines]


def joined(takes: Sequence[Spoken], count: int, seed: int) -> list[Joined]:
    """So many takes of two to four sentences of one voice."""
    drawn, made = random.Random(seed), []
    voices = sorted({take.line.description for take in takes})
    for number in range(count):
        own = [take for take in takes if take.line.description == voices[number % len(voices)]]
        some = drawn.sample(own, drawn.randint(2, 4))
        parts: list[NDArray[np.float32]] = [np.zeros(RATE // 10, dtype=np.float32)]
        starts, at = [], len(parts[0])
        for take in some:
            heard = sounding(take.wave, RATE)
            starts.append(at / RATE)
            silence = np.zeros(round(drawn.uniform(*PAUSES) * RATE), dtype=np.float32)
            parts += [take.wave[heard.start : heard.end], silence]
            at += heard.end - heard.start + len(silence)
        made.append(Joined([take.line for take in some], np.concatenate(parts), starts))
    return made


def estimated(take: Joined, recognizer: Recognizer | None = None) -> list[float]:
    """Where the sentences of a take begin, in seconds, as cues have it."""
    heard = sounding(take.wave, RATE)
    clip = ClipPauses(heard.start / RATE, heard.end / RATE, [(s / RATE, e / RATE) for s, e in heard.pauses])
    known: Sequence[float | None] = ()
    if recognizer is not None:
        spoken = SpokenTake(take.wave, " ".join(take.texts))
        [(transcript, _)] = listen(recognizer, [spoken], RATE, "en", Quality())
        known = heard_starts(take.texts, transcript, "en")
    lengths = [expected_length(text) for text in take.texts]
    return [start for start, _ in sentence_times(lengths, clip, known)]


def errors(takes: Sequence[Joined], recognizer: Recognizer | None = None) -> list[float]:
    """How far the start of each sentence but the first is from the truth, in seconds."""
    return [
        abs(found - true)
        for take in takes
        for found, true in list(zip(estimated(take, recognizer), take.starts, strict=True))[1:]
    ]


def main() -> None:
    """Speak, join, and print the errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--takes", type=int, default=96)
    parser.add_argument("--joined", type=int, default=60)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--hear", help="the recognizer's name or folder")
    options = parser.parse_args()
    takes = joined(speak(options.folder, draw_lines(options.texts, options.takes, options.seed)), options.joined, 1)
    _tell("by pauses and lengths", errors(takes))
    if options.hear:
        recognizer = load_recognizer(options.hear, "cpu", "en")
        began = time.monotonic()
        _tell("with words heard", errors(takes, recognizer))
        print(f"{time.monotonic() - began:.1f} s for {sum(len(take.wave) for take in takes) / RATE:.0f} s of speech")


def _tell(how: str, found: Sequence[float]) -> None:
    ordered = sorted(found)
    within = sum(error < 0.25 for error in ordered) / len(ordered)
    print(
        f"{how}: median {1000 * median(ordered):.0f} ms, 90 % below {1000 * ordered[int(0.9 * len(ordered))]:.0f} ms, "
        f"{within:.0%} within 250 ms, of {len(ordered)} starts"
    )


if __name__ == "__main__":
    main()
