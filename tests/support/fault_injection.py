"""Faults injected into good takes: each as Maya1 and its like were seen to fail, with its text left as it was."""

import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maya_batch.checkpoint.token_layout import Codes
from maya_batch.engine.api import Finish
from maya_batch.text.emotion_tags import MAYA1_TAGS
from tests.support.good_takes import Line, Spoken
from tests.support.signals import hush, noise, pink_noise

RATE, FRAME = 24000, 2048

Wave = NDArray[np.float32]


@dataclass(frozen=True)
class Take:
    """What is to be judged: a line, and codes and samples that may not say it."""

    line: Line
    codes: Codes
    wave: Wave
    finish: Finish = "eos"


def good(spoken: Spoken) -> Take:
    """The take as it came."""
    return Take(spoken.line, spoken.codes, spoken.wave)


def _joined(line: Line, *pieces: tuple[Spoken, int, int], finish: Finish = "eos") -> Take:
    """Stretches of takes, from frame to frame, put together."""
    return Take(
        line,
        np.concatenate([spoken.codes[start:end] for spoken, start, end in pieces]),
        np.concatenate([spoken.wave[start * FRAME : end * FRAME] for spoken, start, end in pieces]),
        finish,
    )


def _frames(seconds: float) -> int:
    return round(seconds * RATE / FRAME)


def cut_tail(takes: Sequence[Spoken], spoken: Spoken, drawn: random.Random) -> Take:
    """The last 1 to 3.5 seconds are missing."""
    return _joined(spoken.line, (spoken, 0, len(spoken.codes) - _frames(drawn.uniform(1, 3.5))))


def dropped(takes: Sequence[Spoken], spoken: Spoken, drawn: random.Random) -> Take:
    """A third of the take is missing from its middle."""
    length = len(spoken.codes)
    start = drawn.randrange(length // 6, length // 2)
    return _joined(spoken.line, (spoken, 0, start), (spoken, start + length // 3, length))


def repeated(takes: Sequence[Spoken], spoken: Spoken, drawn: random.Random) -> Take:
    """A stretch of 2.5 to 5 seconds comes again at once, to the very codes."""
    length = min(_frames(drawn.uniform(2.5, 5)), len(spoken.codes) // 2)
    start = drawn.randrange(len(spoken.codes) - length)
    return _joined(spoken.line, (spoken, 0, start + length), (spoken, start, len(spoken.codes)))


def runaway(takes: Sequence[Spoken], spoken: Spoken, drawn: random.Random) -> Take:
    """Another text follows, and another, up to the cap."""
    pieces, missing = [(spoken, 0, len(spoken.codes))], spoken.line.max_frames - len(spoken.codes)
    while missing > 0:
        other = drawn.choice(takes)
        pieces.append((other, 0, min(len(other.codes), missing)))
        missing -= len(other.codes)
    return _joined(spoken.line, *pieces, finish="cap")


def other_text(takes: Sequence[Spoken], spoken: Spoken, drawn: random.Random) -> Take:
    """The same voice says another text of about the same length."""
    others = [take for take in takes if take.line.description == spoken.line.description and take is not spoken]
    other = min(others, key=lambda take: (abs(len(take.codes) - len(spoken.codes)), drawn.random()))
    return replace(good(other), line=spoken.line)


def silence(takes: Sequence[Spoken], spoken: Spoken, drawn: random.Random) -> Take:
    """2 to 4 seconds of silence in the middle, seen in the samples alone."""
    at = drawn.randrange(len(spoken.wave) // 4, len(spoken.wave) * 3 // 4)
    wave = np.concatenate((spoken.wave[:at], hush(drawn.uniform(2, 4)), spoken.wave[at:]))
    return replace(good(spoken), wave=wave)


def noisy(takes: Sequence[Spoken], spoken: Spoken, drawn: random.Random) -> Take:
    """White or pink noise, as loud as the speech, in place of 1 to 2.5 seconds of it; seen in the samples alone."""
    hiss = drawn.choice((noise, pink_noise))(drawn.uniform(1, 2.5))
    hiss *= np.float32(np.sqrt(np.mean(np.square(spoken.wave))) / np.sqrt(np.mean(np.square(hiss))))
    at = drawn.randrange(len(spoken.wave) - len(hiss))
    wave = np.concatenate((spoken.wave[:at], hiss, spoken.wave[at + len(hiss) :]))
    return replace(good(spoken), wave=wave)


SPLICED: dict[str, Callable[[Sequence[Spoken], Spoken, random.Random], Take]] = {
    "cut tail": cut_tail,
    "silence inserted": silence,
    "noise": noisy,
    "runaway to the cap": runaway,
    "stretch repeated": repeated,
    "third dropped": dropped,
    "another text": other_text,
}
"""Faults that are made of good takes."""


def _description(line: Line) -> str:
    return f"{line.description} {line.text}"


def _tag(line: Line) -> str:
    return _with_tag(line, _tag_of(line).replace("_", " "))


def _tag_of(line: Line) -> str:
    """One of the tags, another one for each line."""
    return MAYA1_TAGS[zlib.crc32(line.key.encode()) % len(MAYA1_TAGS)]


def _with_tag(line: Line, tag: str) -> str:
    words = line.text.split()
    return " ".join([*words[: len(words) // 2], tag, *words[len(words) // 2 :]])


def _twice(line: Line) -> str:
    return f"{line.text} {line.text}"


def _gap(line: Line) -> str:
    words = line.text.split()
    start = (len(words) - len(words) // 5) // 2
    return " ".join([*words[:start], *words[start + len(words) // 5 :]])


SAID: dict[str, tuple[Callable[[Line], str], int, int]] = {
    "sentence said twice": (_twice, 10, 20),
    "description spoken": (_description, 10, 25),
    "name of a tag spoken": (_tag, 10, 25),
    "8 words of 40 missing": (_gap, 30, 45),
}
"""Faults that the demo voice is told to make: what it says, and the fewest and most words of the texts for it.

Of the texts of about 40 words, a fifth of the words is left out.
"""


def faulty_lines(lines: Sequence[Line], count: int) -> dict[str, list[Line]]:
    """Up to `count` lines of each kind of `SAID`, for the demo voice to speak."""
    injected = {}
    for kind, (said, fewest, most) in SAID.items():
        fit = [line for line in lines if fewest <= len(line.text.split()) <= most][:count]
        injected[kind] = [
            replace(
                line,
                key=f"{line.key}-{kind.replace(' ', '-')}",
                text=_with_tag(line, f"<{_tag_of(line)}>") if said is _tag else line.text,
                said=said(line),
            )
            for line in fit
        ]
    return injected
