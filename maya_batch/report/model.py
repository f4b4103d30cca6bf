"""The data of a report: the run, its chapters and chunks, and an account of every character of the book; no disk."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter

from maya_batch import exit_codes
from maya_batch.book.character_accounting import Characters
from maya_batch.book.report_files import GENERATOR
from maya_batch.quality import Problem

MOST_TAKES = 50
"""Takes whose sound the page holds: at 32 kbit/s about 4 MB, and more than a person plays in one go."""

# What the JSON Schema says of values, beyond their types.
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
NonEmpty = Annotated[str, Field(min_length=1)]
Ref = Annotated[str, Field(pattern="^[1-9][0-9]*:[1-9][0-9]*$")]
Moment = Annotated[
    str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$")
]
_EXIT_CODES: list[JsonValue] = [value for name, value in vars(exit_codes).items() if name.startswith("EXIT_")]
ExitCode = Annotated[int, Field(json_schema_extra={"enum": _EXIT_CODES})]


@dataclass(frozen=True)
class ChunkReport:
    """One chunk and the take of it that is in use."""

    ref: Ref
    """`chapter:index`, both from 1."""
    text: str
    """As it was to be spoken, tags included."""
    key: Annotated[str, Field(min_length=4)]
    """The name of its takes."""
    attempt: Count
    """Which take is in use, from 1; 0 where there is none."""
    attempts: Count
    """How many takes there are."""
    problems: tuple[Problem, ...]
    """What is on record against the take."""
    word_error: NonNegative | None
    """Words wrong, missing and too many, as a share of the words of the text; null for a take without a transcript."""
    heard: str | None
    """The transcript; null for a take without one."""
    seconds: NonNegative
    """Of speech; 0 without a take."""
    chosen: bool
    """Whether a person chose this take."""
    unheard: tuple[Count, ...] = ()
    """Which words of the text, counted from 0 as whitespace parts them, are not in the transcript."""
    omitted: bool = False
    """Whether it is left out of its chapter, as the book wants it of what failed in all attempts."""

    @property
    def name(self) -> str:
        """The chunk together with the beginning of its key, as `redo` takes it: after an edit it no longer matches."""
        return f"{self.ref}@{self.key[:4]}"


@dataclass(frozen=True)
class ChapterReport:
    """One chapter and its file."""

    number: Positive
    """From 1."""
    title: str
    file: NonEmpty | None
    """The name of a file beside the report; null where there is none that is whole."""
    seconds: NonNegative | None
    """The length of the file; null without one."""
    loudness_lufs: float | None
    """The integrated loudness of the file by ITU-R BS.1770, in LUFS; null without a file, and for one that is silent
    or under 400 ms."""
    characters: Characters


@dataclass(frozen=True)
class Report:
    """One run, and the book as it stood when the run ended."""

    # For the JSON Schema; the classes of its fields inherit it.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, json_schema_serialization_defaults_required=True
    )

    title: str
    """Of the book."""
    author: str
    """Of the book; empty where none is named."""
    language: Annotated[str, Field(min_length=2)]
    """A language tag (BCP 47), "en"."""
    book: NonEmpty
    """The path of the manifest."""
    model: str
    """The language model."""
    engine: str
    """Engine, number format and quantization; empty where the run loaded none."""
    started: Moment
    """ISO 8601, with the offset to UTC."""
    ended: Moment
    """ISO 8601, with the offset to UTC."""
    speech_hours: NonNegative
    """Hours of speech that this run has made."""
    x_realtime: NonNegative | None
    """Seconds of speech for a second of rendering; null where the run rendered nothing."""
    retries: Count
    """Takes of this run that were not a chunk's first."""
    exit_code: ExitCode
    """0 whole, 1 unexpected error, 2 usage or manifest, 3 rendered with problems, 4 stopped before the end,
    5 environment, 75 another run holds the book."""
    exit_reason: str
    """Why the run ended, in one line for a person."""
    problems_by_kind: Mapping[str, Positive]
    """How many chunks have a problem of each kind."""
    characters: Characters
    """The chapters' characters together."""
    chapters: tuple[ChapterReport, ...]
    """In reading order."""
    chunks: tuple[ChunkReport, ...]
    """In reading order."""
    version: NonEmpty
    """Of maya-batch."""
    flags: tuple[str, ...] = ()
    """What a command on the book has to be given to find the same takes: --output, --model, --codec; and to go on at
    all: --allow-unknown-tags, --allow-language."""
    generator: Annotated[str, Field(json_schema_extra={"const": GENERATOR})] = GENERATOR
    """Which program wrote it."""


def count_problems(chunks: Iterable[ChunkReport]) -> dict[str, int]:
    """How many chunks have a problem of each kind, the most frequent kind first."""
    kinds = Counter(kind for chunk in chunks for kind in {problem.kind for problem in chunk.problems})
    return dict(sorted(kinds.items(), key=lambda item: (-item[1], item[0])))


def to_json(report: Report) -> str:
    """The report as one JSON object in the form of `json_schema`, ending with a newline.

    Raises:
        ValueError: one of its numbers is not finite.
    """
    content = {"generator": report.generator} | asdict(report) | {"problems_by_kind": dict(report.problems_by_kind)}
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def from_json(text: str) -> Report:
    """The report in a report.json.

    Raises:
        ValueError: it is not a report of this version.
    """
    return TypeAdapter(Report).validate_json(text)


def worst_takes(chunks: Iterable[ChunkReport]) -> list[ChunkReport]:
    """The takes with anything against them, the worst first: by problems, then by word error, then as they are read.

    Takes that a person chose come last: that person has played them. Chunks without a take are left out.
    """
    doubtful = [chunk for chunk in chunks if chunk.attempt and (chunk.problems or chunk.word_error)]
    return sorted(doubtful, key=lambda chunk: (chunk.chosen, -len(chunk.problems), -(chunk.word_error or 0.0)))
