"""Makes listen.html, the page to listen to a book by: its text, the spoken sentence, takes to compare, marks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from maya_batch.report.inline_parts import content_policy, inline_json, resource
from maya_batch.report.model import Report
from maya_batch.report.shell_word import shell_word

if TYPE_CHECKING:
    from jinja2 import Template

_STYLES = ("palette.css", "listen.css")
#: In this order they are one script.
_SCRIPTS = ("listen_book.js", "listen_player.js", "listen_marks.js", "listen_takes.js", "listen_keys.js")

#: Ends the marks in the exported script. Each of their lines begins with the name of a column or with a digit.
_END = "END-OF-MARKS"


@dataclass(frozen=True)
class ListenSentence:
    """A sentence of a chunk."""

    text: str
    start: float | None
    """Seconds in the chapter's file; null without one, and where the chunk is left out. As `end`."""
    end: float | None
    paragraph: bool
    """Whether a paragraph begins with it."""


@dataclass(frozen=True)
class ListenTake:
    """A stored take of a chunk."""

    attempt: int
    seconds: float
    problems: tuple[str, ...]
    clip: str | None
    """The URL of its sound, relative to the page; null where none is stored."""


@dataclass(frozen=True)
class ListenChunk:
    """A chunk."""

    name: str
    """Its ref and the beginning of its key, as `redo` takes it."""
    spoken: str
    """The text that is given to the model; empty where it is what the sentences say."""
    voice: str
    used: int
    """The number of the take in use; 0 without one."""
    chosen: bool
    """Whether a person chose that take."""
    flagged: bool
    """Whether the take in use has problems, and no person chose it."""
    omitted: bool
    takes: tuple[ListenTake, ...]
    sentences: tuple[ListenSentence, ...]


@dataclass(frozen=True)
class ListenFile:
    """A file that a chapter is in."""

    url: str
    """Relative to the page."""
    type: str
    """The media type, as browsers name it."""
    offset: float
    """Where the chapter begins in it, in seconds."""


@dataclass(frozen=True)
class ListenChapter:
    """A chapter."""

    number: int
    title: str
    part: str
    """Empty without one."""
    files: tuple[ListenFile, ...]
    """Those that the times of the sentences are of; a browser plays the first one that it can."""
    remark: str
    """Why it cannot be listened to; empty if it can."""
    chunks: tuple[ListenChunk, ...]


@dataclass(frozen=True)
class ListenBook:
    """All that the page shows but for what the report has."""

    id: str
    """By which a browser keeps marks."""
    chapters: tuple[ListenChapter, ...]


def render_listen_page(book: ListenBook, report: Report) -> str:
    """Make the page as HTML.

    Raises:
        ValueError: a time is not finite.
    """
    from markupsafe import Markup

    style, script = resource(*_STYLES), resource(*_SCRIPTS)
    command = ("maya-batch", "redo", report.book, "--from")
    data = {
        "id": book.id,
        "command": _command((*command, "marks.csv"), report.flags),
        "script": exported_script(report.book, report.flags),
        "chapters": [_chapter(chapter) for chapter in book.chapters],
    }
    return _template().render(
        title=report.title,
        author=report.author,
        language=report.language,
        policy=content_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        data=Markup(inline_json(data)),
    )


def exported_script(book: str, flags: Sequence[str]) -> tuple[str, str]:
    """What stands before and after the marks in the exported shell script, which does what was marked.

    POSIX sh has no `$'…'`, which `shell_word` needs for a name with control characters; then it is a script for bash.
    """
    command = _command(("maya-batch", "redo", book, "--from"), ('"$marks"', *map(shell_word, flags)), quoted=True)
    shell = "/usr/bin/env bash" if "$'" in command else "/bin/sh"
    head = (
        f"#!{shell}\n"
        "# Does what was marked in listen.html.\n"
        "marks=$(mktemp) || exit 5\n"
        "trap 'rm -f \"$marks\"' EXIT\n"
        f"cat >\"$marks\" <<'{_END}'\n"
    )
    return head, f"{_END}\n{command}\n"


def _command(words: Sequence[str], more: Sequence[str], quoted: bool = False) -> str:
    """A command line of words; `more` may be `quoted` already."""
    return " ".join([*map(shell_word, words), *(more if quoted else map(shell_word, more))])


def _chapter(chapter: ListenChapter) -> dict[str, object]:
    """A chapter as the page's script reads it; sentences are the most of it, so they are lists without names."""
    files = [vars(file) for file in chapter.files]
    return vars(chapter) | {"files": files, "chunks": [_chunk(chunk) for chunk in chapter.chunks]}


def _chunk(chunk: ListenChunk) -> dict[str, object]:
    sentences = [[each.text, each.start, each.end, int(each.paragraph)] for each in chunk.sentences]
    return vars(chunk) | {"takes": [vars(take) for take in chunk.takes], "sentences": sentences}


@cache
def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    return Environment(autoescape=True, undefined=StrictUndefined).from_string(resource("listen.html"))
