"""Makes report.html, one page without external resources."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from maya_batch.book.character_accounting import Characters
from maya_batch.book.report_files import LISTEN_NAME
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
from maya_batch.report.inline_parts import content_policy, file_link, resource
from maya_batch.report.model import MOST_TAKES, ChunkReport, Report, worst_takes
from maya_batch.report.shell_word import shell_word
from maya_batch.report.text_diff import Words, word_diff

if TYPE_CHECKING:
    from jinja2 import Template

_STATES: Mapping[int, str] = MappingProxyType(
    {
        EXIT_WHOLE: "The book is complete",
        EXIT_UNEXPECTED: "Ended by an unexpected error",
        EXIT_USAGE: "Ended by a mistake in the command or the book",
        EXIT_PROBLEMS: "Everything is rendered, some of it with problems",
        EXIT_STOPPED: "Stopped before the end",
        EXIT_ENVIRONMENT: "Ended by a problem with the machine",
        EXIT_BUSY: "Another run has locked the book",
    }
)
#: The parts of `Characters`: field, name, meaning.
_PARTS = (
    ("heard", "heard", "spoken as written"),
    ("unheard", "unheard", "spoken, but not found in a transcript"),
    ("with_problems", "with problems", "spoken in takes with problems"),
    ("missing", "missing", "not spoken"),
    ("waived", "waived", "with problems, but chosen by hand or left out as the manifest says"),
    ("skipped", "skipped", "in chapters that the manifest skips"),
)
_BAR = 1000
"""The width of the bar of characters in SVG units."""


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


def render_page(report: Report, clips: Mapping[str, AudioClip], fingerprint: str = "", listening: bool = False) -> str:
    """Make the page as HTML, with a `fingerprint` of its contents about the book.

    `clips` are the sounds of takes in use, by their chunk's `ref`. The page has those of the first `MOST_TAKES` of
    `worst_takes`, and says which are missing. `listening`: whether listen.html is next to it.
    """
    from markupsafe import Markup

    style, script = resource("palette.css", "page.css"), resource("page.js")
    worst = worst_takes(report.chunks)
    return _template().render(
        report=report,
        fingerprint=fingerprint,
        listening=LISTEN_NAME if listening else "",
        flags="".join(f" {shell_word(flag)}" for flag in report.flags),
        policy=content_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        state=_STATES.get(report.exit_code, "Ended"),
        doubtful=sum(bool(chunk.problems) for chunk in report.chunks),
        parts=_parts(report.characters),
        failed=[row for row in report.check.rows if not row.passed] if report.check is not None else [],
        missing=[chunk for chunk in report.chunks if not chunk.attempt],
        takes=[_Take(chunk, _words(chunk), clips.get(chunk.ref)) for chunk in worst[:MOST_TAKES]],
        more=max(0, len(worst) - MOST_TAKES),
        width=PICTURE_WIDTH,
        height=PICTURE_HEIGHT,
    )


@cache
def _template() -> "Template":
    """The page without contents. Compiling it takes several times as long as filling it."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    environment.filters |= _FILTERS
    return environment.from_string(resource("page.html"))


def _words(chunk: ChunkReport) -> list[Words]:
    if chunk.heard is None:
        return [Words("same", chunk.text)]
    return word_diff(chunk.text, chunk.heard, chunk.unheard)


def _parts(characters: Characters) -> list[_Part]:
    """The parts of all characters, with their places on the bar."""
    parts, start = [], 0.0
    for name, label, meaning in _PARTS:
        number = getattr(characters, name)
        if name == "skipped" and not number:
            continue  # most books skip nothing
        share = number / characters.total if characters.total else 0.0
        # Only all is 100 % and only none is 0 %: nothing else is rounded to them.
        shown = f"{100 * share:.1f} %" if 0.0005 <= share < 0.9995 else "under 0.1 %" if share < 0.5 else "over 99.9 %"
        shown = "–" if number == 0 else "100 %" if number == characters.total else shown
        parts.append(_Part(name, label, meaning, number, shown, round(start, 2), round(share * _BAR, 2)))
        start += share * _BAR
    return parts


def _account(characters: Characters) -> str:
    """A chapter's characters in a few words, without parts of zero."""
    counted = [(getattr(characters, name), label) for name, label, _ in _PARTS if getattr(characters, name)]
    if len(counted) == 1:
        return f"{characters.total:,}, all {counted[0][1]}"
    parts = ", ".join(f"{number:,} {label}" for number, label in counted)
    return f"{characters.total:,}: {parts}" if parts else "0"


def _length(seconds: float) -> str:
    """A length like 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _moment(iso: str) -> str:
    """A time for people, on the clock of the machine that rendered."""
    moment = datetime.fromisoformat(iso)
    return f"{moment.day} {moment:%B %Y, %H:%M}"


_FILTERS: Mapping[str, Callable[[Any], str]] = MappingProxyType(
    {
        "account": _account,
        "base64": lambda data: base64.b64encode(data).decode("ascii"),
        "grouped": lambda number: f"{number:,}",
        "length_of": _length,
        "link": file_link,
        "lufs": lambda loudness: f"{loudness:.1f} LUFS".replace("-", "−"),
        "moment": _moment,
        "shell": shell_word,
    }
)
