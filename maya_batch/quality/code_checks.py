"""Checks the codes of a take: how it ended, how long it is, and whether it repeats itself."""

import math

from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.api import Finish, Generation
from maya_batch.manifest import Quality
from maya_batch.messages.plural import plural
from maya_batch.quality import Problem
from maya_batch.quality.code_repetition import find_loop, repeated_words
from maya_batch.text.token_estimate import tag_tokens

#: The limits of the pace of a voice whose pace is not known: 37 to 55 tokens a word were reported for Maya1, and 52 are
#: expected (`text.token_estimate`).
_SLOWEST, _FASTEST = 55 / 52, 37 / 52

#: Seconds that a take of any text may be shorter or longer than its words: takes differ in the breath before the speech
#: and the silence after it.
_LESS_SECONDS, _MORE_SECONDS = 0.25, 0.5

#: Seconds that each digit adds to that: 1984 is read as three words or as six, however many were counted.
_FIGURE_SECONDS = 0.25

#: A repeated stretch is longer than the text's own repetition by at least this factor: words take unequal times.
_OWN_REPETITION = 1.5


def check_codes(
    generation: Generation,
    text: str,
    expected_frames: int,
    layout: TokenLayout,
    pace: float | None,
    quality: Quality,
) -> tuple[Problem, ...]:
    """The problems of a chunk's codes: those of `check_form` and of `check_length`."""
    frames = len(generation.codes)
    return (
        *check_length(generation.finish, frames, text, expected_frames, layout, pace, quality),
        *check_form(generation, text, layout, quality),
    )


def check_form(generation: Generation, text: str, layout: TokenLayout, quality: Quality) -> tuple[Problem, ...]:
    """The problems that do not depend on the voice: the kinds `cap`, `broken` and `repeated`."""
    frames = len(generation.codes)
    heard = f"{plural(frames, 'frame')}, {layout.seconds(frames):.1f} s"
    if generation.finish == "broken":
        return (
            Problem(
                "broken",
                f"breaks off after {heard}: {generation.detail}",
            ),
        )
    found = []
    if generation.finish == "cap":
        found.append(Problem("cap", f"no end within {heard}: it may continue after the text, or stop before its end"))
    return (*found, *_repetition(generation, text, layout, quality))


def check_length(
    finish: Finish,
    frames: int,
    text: str,
    expected_frames: int,
    layout: TokenLayout,
    pace: float | None,
    quality: Quality,
) -> list[Problem]:
    """The problems of the length of a take that ended by itself: the kinds `short` and `long`.

    `expected_frames` is the planned length of `text`. `pace` is the voice's factor on it (`Limits.pace`), None or 0 if
    it is not known.
    """
    if finish != "eos":
        return []
    tags = tag_tokens(text) / SLOTS
    words = expected_frames - tags / 4  # the plan counts tags with a quarter of the time that they may last
    frame = layout.seconds(1)
    numbers = _FIGURE_SECONDS * sum(character.isdigit() for character in text)
    least = words * (pace or _FASTEST) * quality.shortest - (_LESS_SECONDS + numbers) / frame
    most = words * (pace or _SLOWEST) * quality.longest + (_MORE_SECONDS + numbers) / frame + tags
    length = f"{layout.seconds(frames):.1f} s"
    if frames < least:
        usual = f"this text takes at least {layout.seconds(math.ceil(least)):.1f} s"
        return [Problem("short", f"{length}, but {usual}: words may be missing")]
    if frames > most:
        usual = f"this text takes at most {layout.seconds(int(most)):.1f} s"
        return [Problem("long", f"{length}, but {usual}: there may be extra words")]
    return []


def _repetition(generation: Generation, text: str, layout: TokenLayout, quality: Quality) -> list[Problem]:
    frames = len(generation.codes)
    own, words = repeated_words(text)
    stretch = quality.repeated_seconds / layout.seconds(1)
    if words:
        stretch = max(stretch, _OWN_REPETITION * own * frames / words)
    loop = find_loop(generation.codes, math.ceil(stretch))
    if loop is None:
        return []
    first, again = layout.seconds(loop.start - loop.lag), layout.seconds(loop.start)
    length = layout.seconds(loop.frames)
    return [Problem("repeated", f"{length:.1f} s of speech at {first:.1f} s is repeated at {again:.1f} s")]
