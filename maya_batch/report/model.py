"""What a report tells: the run, its chapters and chunks, and where every character of the book has gone; no disk."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from maya_batch.book.accounting import Characters
from maya_batch.book.report_files import GENERATOR
from maya_batch.quality import Problem

MOST_TAKES = 50
"""Takes whose sound is put into the page: at 32 kbit/s these are about 4 MB, and more than anybody hears in one go."""


@dataclass(frozen=True)
class ChunkReport:
    """One chunk and the take of it that is in use."""

    ref: str
    """`chapter:index`."""
    text: str
    """As it was to be spoken, tags included."""
    key: str
    attempt: int
    """Which take is in use, from 1; 0 where there is none."""
    attempts: int
    """How many takes there are."""
    problems: tuple[Problem, ...]
    word_error: float | None
    """As `quality.Transcript` has it, a share of the words; None where nobody has listened."""
    heard: str | None
    """The transcript; None where nobody has listened."""
    seconds: float
    """Of speech; 0 without a take."""
    chosen: bool
    """Whether a person chose this take."""
    unheard: tuple[int, ...] = ()
    """Which words of `text` are not in the transcript, as `quality.Transcript` counts them."""
    omitted: bool = False
    """Whether it is left out of its chapter, as the book wants it of what failed in all attempts."""

    @property
    def name(self) -> str:
        """The chunk together with the beginning of its key, as `redo` takes it: after an edit it fits no more."""
        return f"{self.ref}@{self.key[:4]}"


@dataclass(frozen=True)
class ChapterReport:
    """One chapter and its file."""

    number: int
    title: str
    file: str | None
    """The name of a file beside the report; None where there is none that is whole."""
    seconds: float | None
    """The length of the file; None without one."""
    loudness_lufs: float | None
    """The integrated loudness of the file by ITU-R BS.1770; None without a file, and where it cannot be measured."""
    characters: Characters


@dataclass(frozen=True)
class Report:
    """One run and the book as it stood when the run ended."""

    title: str
    author: str
    language: str
    """A language tag (BCP 47), "en"."""
    book: str
    """The path of the manifest for a command; the page quotes it where a shell asks for that."""
    model: str
    engine: str
    """Engine, number format and quantization; empty where the run loaded none."""
    started: str
    """ISO 8601, with the offset to UTC; `ended`, too."""
    ended: str
    speech_hours: float
    """Speech that this run has made."""
    x_realtime: float | None
    """Seconds of speech for a second of rendering; None where the run rendered nothing."""
    retries: int
    """Takes of this run that were not a chunk's first."""
    exit_code: int
    exit_reason: str
    """Why the run ended, in one line for a person."""
    problems_by_kind: Mapping[str, int]
    """See `count_problems`."""
    characters: Characters
    """The chapters' characters together."""
    chapters: tuple[ChapterReport, ...]
    chunks: tuple[ChunkReport, ...]
    """In reading order."""
    version: str
    """Of maya-batch."""
    flags: tuple[str, ...] = ()
    """What a command on the book has to be given to find the same takes: --output, --model, --codec; and to go on at
    all: --allow-unknown-tags, --allow-language."""
    generator: str = GENERATOR
    """Which program wrote it."""


def count_problems(chunks: Iterable[ChunkReport]) -> dict[str, int]:
    """How many chunks have a problem of each kind, the most frequent kind first."""
    kinds = Counter(kind for chunk in chunks for kind in {problem.kind for problem in chunk.problems})
    return dict(sorted(kinds.items(), key=lambda item: (-item[1], item[0])))


def to_json(report: Report) -> str:
    """The report as one JSON object in the form of `schema.json`, ending with a newline.

    Raises:
        ValueError: one of its numbers is not finite.
    """
    content = {"generator": report.generator} | asdict(report) | {"problems_by_kind": dict(report.problems_by_kind)}
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def worst_takes(chunks: Iterable[ChunkReport]) -> list[ChunkReport]:
    """The takes with anything against them, the worst first: by problems, then by word error, then as they are read.

    Those that a person chose come last: they were heard already. Chunks without a take are not among them.
    """
    doubtful = [chunk for chunk in chunks if chunk.attempt and (chunk.problems or chunk.word_error)]
    return sorted(doubtful, key=lambda chunk: (chunk.chosen, -len(chunk.problems), -(chunk.word_error or 0.0)))
