"""What is wrong with a take, seen from its codes alone: how it ended, how long it is, and what it says twice."""

import math

from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.api import Finish, Generation
from maya_batch.manifest import Quality
from maya_batch.messages.plural import plural
from maya_batch.quality import Problem
from maya_batch.quality.code_repetition import find_loop, repeated_words
from maya_batch.text.token_estimate import tag_tokens

#: Between which paces a voice is taken to be that has none: 37 to 55 tokens a word were reported for
#: Maya1, and 52 are expected (text.length).
_SLOWEST, _FASTEST = 55 / 52, 37 / 52

#: What a take may be shorter or longer by than its words say, in seconds, be the text ever so short: there may be a
#: breath before it, and silence after it or none.
_LESS_SECONDS, _MORE_SECONDS = 0.25, 0.5

#: What each figure of a number adds to that: 1984 is read as three words or as six, whichever were counted.
_FIGURE_SECONDS = 0.25

#: How much longer than the text's own repetition a repeated stretch has to be: words take unequal times.
_OWN_REPETITION = 1.5


def check_codes(
    generation: Generation,
    text: str,
    expected_frames: int,
    layout: TokenLayout,
    pace: float | None,
    quality: Quality,
) -> tuple[Problem, ...]:
    """The problems of what an engine wrote for one chunk.

    They are those of `check_form` and of `check_length`.
    """
    frames = len(generation.codes)
    return (
        *check_length(generation.finish, frames, text, expected_frames, layout, pace, quality),
        *check_form(generation, text, layout, quality),
    )


def check_form(generation: Generation, text: str, layout: TokenLayout, quality: Quality) -> tuple[Problem, ...]:
    """The problems that show whatever the voice: the kinds `cap`, `broken` and `repeated`."""
    frames = len(generation.codes)
    heard = f"{plural(frames, 'frame')}, {layout.seconds(frames):.1f} s"
    if generation.finish == "broken":
        return (Problem("broken", f"left its frame after {heard} ({generation.detail}); the rest is missing"),)
    found = []
    if generation.finish == "cap":
        found.append(Problem("cap", f"no end within {heard}: it may run on, or stop before the text does"))
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

    `expected_frames` is the length that the plan foresees for `text`, `pace` the voice's own factor on it
    (`Limits.pace`), None or 0 where the voice has none.
    """
    if finish != "eos":
        return []
    tags = tag_tokens(text) / SLOTS
    words = expected_frames - tags / 4  # so much of the tags is in what was expected
    frame = layout.seconds(1)
    numbers = _FIGURE_SECONDS * sum(character.isdigit() for character in text)
    least = words * (pace or _FASTEST) * quality.shortest - (_LESS_SECONDS + numbers) / frame
    most = words * (pace or _SLOWEST) * quality.longest + (_MORE_SECONDS + numbers) / frame + tags
    length = f"{layout.seconds(frames):.1f} s"
    if frames < least:
        what = f"{length} for a text that takes {layout.seconds(math.ceil(least)):.1f} s at least: words may be missing"
        return [Problem("short", what)]
    if frames > most:
        what = f"{length} for a text that takes {layout.seconds(int(most)):.1f} s at most: there may be words too many"
        return [Problem("long", what)]
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
    return [
        Problem("repeated", f"{layout.seconds(loop.frames):.1f} s from {first:.1f} s on come again at {again:.1f} s")
    ]
