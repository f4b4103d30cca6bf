"""The data of a report: the run, its chapters and chunks, and the counts of the book's characters."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter

from maya_batch import exit_codes
from maya_batch.book.book_lexicon import LexiconUse
from maya_batch.book.character_accounting import Characters
from maya_batch.book.report_files import GENERATOR
from maya_batch.book.store_check import CheckRow
from maya_batch.quality import Problem

MOST_TAKES = 50
"""The most takes with sound on the page: about 4 MB at 32 kbit/s."""

# Types with constraints for the JSON Schema.
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
NonEmpty = Annotated[str, Field(min_length=1)]
Ref = Annotated[str, Field(pattern="^(0|[1-9][0-9]*):[1-9][0-9]*$")]
Moment = Annotated[
    str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$")
]
_EXIT_CODES: list[JsonValue] = [value for name, value in vars(exit_codes).items() if name.startswith("EXIT_")]
ExitCode = Annotated[int, Field(json_schema_extra={"enum": _EXIT_CODES})]


@dataclass(frozen=True)
class ChunkReport:
    """One chunk and its take in use."""

    ref: Ref
    """`chapter:index`, both from 1; opening credits are chapter 0."""
    text: str
    """The text to speak, including tags."""
    key: Annotated[str, Field(min_length=4)]
    """The key of the chunk, which names its takes."""
    attempt: Count
    """The number of the take in use, from 1; 0 without a take."""
    attempts: Count
    """The number of takes."""
    problems: tuple[Problem, ...]
    """The problems of the take."""
    word_error: NonNegative | None
    """Wrong, missing and extra words, as a share of the words of the text; null for a take without a transcript."""
    heard: str | None
    """The transcript; null for a take without one."""
    seconds: NonNegative
    """The length of the take; 0 without a take."""
    chosen: bool
    """Whether a person chose this take."""
    unheard: tuple[Count, ...] = ()
    """The words of the text that are not in the transcript, counted from 0; whitespace separates words."""
    omitted: bool = False
    """Whether the chunk is left out of its chapter: all attempts failed, and the book has `failed: omit`."""
    loudness_lufs: float | None = None
    """The loudness of its clip before mastering, in LUFS; null without a chapter file, for silence and below 400 ms."""
    step_lu: float | None = None
    """By how many LU it is louder in the chapter than the clip of its voice before it; null without one."""

    @property
    def name(self) -> str:
        """The chunk's ref and the beginning of its key, as `redo` takes it; after an edit it matches no chunk."""
        return f"{self.ref}@{self.key[:4]}"


@dataclass(frozen=True)
class ChapterReport:
    """One chapter and its file."""

    number: Count
    """From 1; opening credits have 0, closing credits the number after the last chapter."""
    title: str
    file: NonEmpty | None
    """The name of the file, in the folder of the report; null without a complete file."""
    seconds: NonNegative | None
    """The length of the file; null without one."""
    loudness_lufs: float | None
    """The integrated loudness of the file by ITU-R BS.1770, in LUFS; null without a file, and for silence
    or less than 400 ms of sound."""
    characters: Characters
    part: str = ""
    """The part of the book that it belongs to; empty without one."""
    master_gain_db: float | None = None
    """By how many dB `master` raised the chapter; null without mastering."""
    master_missed_db: float = 0.0
    """By how many dB it is softer than `master` asks for."""
    master_over_db: float = 0.0
    """By how many dB a peak of its encoded files is above the true peak that `master` asks for."""
    voice_gains_db: Mapping[str, float] = field(default_factory=dict)
    """By how many dB each voice was evened."""


@dataclass(frozen=True)
class SkippedReport:
    """One chapter that the manifest skips."""

    number: Positive
    """From 1, as in `chapters`."""
    title: str
    part: str
    """Empty without one."""
    reason: str
    """Empty without one."""
    characters: Count
    """The characters of its text."""


@dataclass(frozen=True)
class KvCacheTrial:
    """What decided, when the book was begun, in which format keys and values are kept."""

    kv_cache: NonEmpty
    """The decision: `int8`, or `model`, the format that the model computes in."""
    takes: Positive
    """The takes of the trial."""
    tokens: Positive
    """Their tokens."""
    divergence: float
    """What 8 bits change in the predictions: Kullback and Leibler's divergence, in nats a token."""
    same_best: NonNegative
    """The share of tokens whose most probable code stays the same."""


@dataclass(frozen=True)
class StoreCheck:
    """The finished files, compared with what a store asks for."""

    store: str
    passed: bool
    note: str
    """What the store asks for besides; empty without it."""
    rows: tuple[CheckRow, ...]


@dataclass(frozen=True)
class Report:
    """One run, and the state of the book at its end."""

    # For the JSON Schema; the classes of the fields inherit it.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, json_schema_serialization_defaults_required=True
    )

    title: str
    """The title of the book."""
    author: str
    """The author of the book; empty without one."""
    language: Annotated[str, Field(min_length=2)]
    """The language of the book as a BCP 47 tag, like "en"."""
    book: NonEmpty
    """The path of the manifest."""
    model: str
    """The language model."""
    engine: str
    """Engine, number format and quantization; empty if the run loaded no engine."""
    started: Moment
    """ISO 8601, with the offset to UTC."""
    ended: Moment
    """ISO 8601, with the offset to UTC."""
    speech_hours: NonNegative
    """Hours of speech rendered by this run."""
    x_realtime: NonNegative | None
    """Seconds of speech for a second of rendering; null if the run rendered nothing."""
    listening_seconds: NonNegative
    """Seconds for which this run transcribed takes, all threads together; on a GPU, most of them while it generated
    others."""
    retries: Count
    """Takes of this run that are not the first of their chunk."""
    exit_code: ExitCode
    """0 complete, 1 unexpected error, 2 usage or manifest, 3 rendered with problems, 4 stopped before the end,
    5 environment, 75 locked by another run."""
    exit_reason: str
    """Why the run ended, in one line for a person."""
    problems_by_kind: Mapping[str, Positive]
    """The number of chunks with a problem of each kind."""
    characters: Characters
    """The characters of all chapters together, also of those that are skipped."""
    chapters: tuple[ChapterReport, ...]
    """In reading order."""
    chunks: tuple[ChunkReport, ...]
    """In reading order."""
    version: NonEmpty
    """The version of maya-batch."""
    flags: tuple[str, ...] = ()
    """The flags that a command on the book needs to find the same takes (--output, --model, --codec) and to continue
    (--allow-unknown-tags, --allow-language)."""
    lexicon: LexiconUse | None = None
    """What the book uses of its lexicon; null without one."""
    skipped: tuple[SkippedReport, ...] = ()
    """The chapters that the manifest skips; they are not in `chapters`."""
    kv_cache_trial: KvCacheTrial | None = None
    """The trial of keys and values in 8 bits; null where none was made."""
    check: StoreCheck | None = None
    """What `check` found after the run; null before it."""
    workers: Mapping[str, Positive] = field(default_factory=dict)
    """The takes of this run by the name of the worker that generated them; empty for a run without workers."""
    generator: Annotated[str, Field(json_schema_extra={"const": GENERATOR})] = GENERATOR
    """The program that wrote the report."""


def count_problems(chunks: Iterable[ChunkReport]) -> dict[str, int]:
    """The number of chunks with a problem of each kind, the most frequent kind first."""
    kinds = Counter(kind for chunk in chunks for kind in {problem.kind for problem in chunk.problems})
    return dict(sorted(kinds.items(), key=lambda item: (-item[1], item[0])))


def to_json(report: Report) -> str:
    """The report as one JSON object in the form of `json_schema`, ending with a newline.

    Raises:
        ValueError: a number is not finite.
    """
    counts = {"problems_by_kind": dict(report.problems_by_kind), "workers": dict(report.workers)}
    content = {"generator": report.generator} | asdict(report) | counts
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def from_json(text: str) -> Report:
    """The report in a report.json.

    Raises:
        ValueError: it is not a report of this version.
    """
    return TypeAdapter(Report).validate_json(text)


def worst_takes(chunks: Iterable[ChunkReport]) -> list[ChunkReport]:
    """The takes with problems or word errors, the worst first: by problems, then by word error, then in reading order.

    Takes that a person chose come last. Chunks without a take are left out.
    """
    doubtful = [chunk for chunk in chunks if chunk.attempt and (chunk.problems or chunk.word_error)]
    return sorted(doubtful, key=lambda chunk: (chunk.chosen, -len(chunk.problems), -(chunk.word_error or 0.0)))
