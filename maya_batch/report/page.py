"""report.html: one page that needs nothing but itself."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from maya_batch.book.character_accounting import Characters
from maya_batch.errors import (
    EXIT_BUSY,
    EXIT_ENVIRONMENT,
    EXIT_PROBLEMS,
    EXIT_STOPPED,
    EXIT_UNEXPECTED,
    EXIT_USAGE,
    EXIT_WHOLE,
)
from maya_batch.report.audio_clip import PICTURE_HEIGHT, PICTURE_WIDTH, AudioClip
from maya_batch.report.model import MOST_TAKES, ChunkReport, Report, worst_takes
from maya_batch.report.shell_word import shell_word
from maya_batch.report.text_diff import Words, word_diff

_STATES: Mapping[int, str] = MappingProxyType(
    {
        EXIT_WHOLE: "The book is whole",
        EXIT_UNEXPECTED: "Ended by an error nobody foresaw",
        EXIT_USAGE: "Ended by a mistake in the command or the book",
        EXIT_PROBLEMS: "All is rendered, some of it with problems",
        EXIT_STOPPED: "Stopped before the end",
        EXIT_ENVIRONMENT: "Ended by what the machine lacks",
        EXIT_BUSY: "Another run holds the book",
    }
)
#: The parts of `Characters`: field, name, meaning.
_PARTS = (
    ("heard", "heard", "as they are written"),
    ("unheard", "unheard", "spoken, not listened to"),
    ("with_problems", "with problems", "kept all the same"),
    ("missing", "missing", "not spoken"),
    ("waived", "waived", "chosen by hand all the same, or left out as the book wants it"),
)
_BAR = 1000
"""Width of the bar of characters, in its own units."""


@dataclass(frozen=True)
class _Part:
    name: str
    label: str
    meaning: str
    number: int
    share: str
    start: float
    width: float


@dataclass(frozen=True)
class _Take:
    chunk: ChunkReport
    words: list[Words]
    clip: AudioClip | None


def render_page(report: Report, clips: Mapping[str, AudioClip], fingerprint: str = "") -> str:
    """The page as HTML, with a `fingerprint` of all that it tells about the book.

    `clips` are the sounds of takes in use, by their chunk's `ref`. The page shows those of the first `MOST_TAKES` of
    `worst_takes`, and names each that is missing.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    environment.filters |= _FILTERS
    style, script = _resource("page.css"), _resource("page.js")
    worst = worst_takes(report.chunks)
    return environment.from_string(_resource("page.html")).render(
        report=report,
        fingerprint=fingerprint,
        flags="".join(f" {shell_word(flag)}" for flag in report.flags),
        # Whatever a text may contain, only this script runs, and nothing is loaded from elsewhere.
        policy=f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; media-src data:; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(style),
        script=Markup(script),
        state=_STATES.get(report.exit_code, "Ended"),
        doubtful=sum(bool(chunk.problems) for chunk in report.chunks),
        parts=_parts(report.characters),
        missing=[chunk for chunk in report.chunks if not chunk.attempt],
        takes=[_Take(chunk, _words(chunk), clips.get(chunk.ref)) for chunk in worst[:MOST_TAKES]],
        more=max(0, len(worst) - MOST_TAKES),
        width=PICTURE_WIDTH,
        height=PICTURE_HEIGHT,
    )


def _words(chunk: ChunkReport) -> list[Words]:
    if chunk.heard is None:
        return [Words("same", chunk.text)]
    return word_diff(chunk.text, chunk.heard, chunk.unheard)


def _parts(characters: Characters) -> list[_Part]:
    """The parts of a whole, with their places on the bar."""
    parts, start = [], 0.0
    for name, label, meaning in _PARTS:
        number = getattr(characters, name)
        share = number / characters.total if characters.total else 0.0
        # 100 % is all, and 0 % is none: nothing between is rounded to either.
        shown = f"{100 * share:.1f} %" if 0.0005 <= share < 0.9995 else "under 0.1 %" if share < 0.5 else "over 99.9 %"
        shown = "–" if number == 0 else "100 %" if number == characters.total else shown
        parts.append(_Part(name, label, meaning, number, shown, round(start, 2), round(share * _BAR, 2)))
        start += share * _BAR
    return parts


def _account(characters: Characters) -> str:
    """A chapter's characters in a few words, without the parts that are zero."""
    parts = [(getattr(characters, name), label) for name, label, _ in _PARTS]
    counted = [(number, label) for number, label in parts if number]
    if len(counted) == 1:
        return f"{characters.total:,}, all {counted[0][1]}"
    return f"{characters.total:,}" + "".join(
        f"{', ' if i else ': '}{n:,} {label}" for i, (n, label) in enumerate(counted)
    )


def _length(seconds: float) -> str:
    """A length as a player shows it: 1:02:03, or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _moment(iso: str) -> str:
    """A moment as a person reads it, on the clock of the machine that rendered."""
    moment = datetime.fromisoformat(iso)
    return f"{moment.day} {moment:%B %Y, %H:%M}"


_FILTERS: Mapping[str, Callable[[Any], str]] = MappingProxyType(
    {
        "account": _account,
        "base64": lambda data: base64.b64encode(data).decode("ascii"),
        "grouped": lambda number: f"{number:,}",
        "length_of": _length,
        # With a dot and a slash in front, a name with a colon is no address.
        "link": lambda name: "./" + quote(name, errors="surrogateescape"),
        "lufs": lambda loudness: f"{loudness:.1f} LUFS".replace("-", "−"),
        "moment": _moment,
        "shell": shell_word,
    }
)


def _digest(text: str) -> str:
    """What a Content-Security-Policy calls an inline style or script by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _resource(name: str) -> str:
    return files("maya_batch.report").joinpath(name).read_text(encoding="utf-8")
