"""The schema of book.yaml: its keys, their bounds and their defaults."""

from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
    model_validator,
)

from maya_batch.manifest.credits import Credits, flag_or_credits
from maya_batch.manifest.mastering import Master, none_is_absent
from maya_batch.manifest.metadata import About, Isbn, PublicationDate
from maya_batch.manifest.one_line import (
    Codec,
    Description,
    FilePath,
    FlagOrLine,
    Language,
    Line,
    Model,
    VoiceName,
    wrong,
)
from maya_batch.manifest.output import Output
from maya_batch.manifest.part import Part

Seconds = Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)]
Text = Annotated[str, StringConstraints(strip_whitespace=True)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Voice(Part):
    """A voice, described in words; in YAML the description alone, or a mapping."""

    description: Description
    seed: Seed | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare_description(cls, data: object) -> object:
        return {"description": data} if isinstance(data, str) else data


class Pauses(Part):
    """Silences, in seconds; None: as the rules of the book's folder have it (`book.pause_lengths`).

    `clause` is for a cut inside a sentence, `voice` for another speaker, `scene` for a scene break, `heading` for what
    follows a spoken title.
    """

    clause: Seconds | None = None
    voice: Seconds | None = None
    scene: Seconds | None = None
    heading: Seconds | None = None
    sentence: Seconds | None = None
    paragraph: Seconds | None = None
    chapter_start: Seconds | None = None
    chapter_end: Seconds | None = None


class Quality(Part):
    """When a take has a problem. These values do not shape takes, so they may change at any time.

    The thresholds were tuned on takes of the demo voice, of texts of 10 to 45 words, and measured on 300 others
    (`python -m tests.measure.detection`), of which 6 were flagged, all by their words. The figures for good takes come
    from 600 takes.
    """

    #: A take's length, divided by the length that its words take at the voice's pace. Good takes have 0.79 to 1.29,
    #: except one that has 0.69.
    shortest: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.75
    longest: Annotated[float, Field(ge=1, le=10, allow_inf_nan=False)] = 1.3
    #: Seconds of speech that is repeated although the text does not repeat it: about three words, at the 0.45 to 0.67 s
    #: a word reported for Maya1.
    repeated_seconds: Annotated[float, Field(ge=0.5, le=60, allow_inf_nan=False)] = 1.5
    #: Seconds of silence inside a take. Good takes pause for 0.7 s at most.
    pause_seconds: Annotated[float, Field(ge=0.2, le=60, allow_inf_nan=False)] = 1.5
    #: Seconds of continuous noise. Good takes hiss for 0.26 s at most, in their longest consonants.
    noise_seconds: Annotated[float, Field(ge=0.1, le=60, allow_inf_nan=False)] = 0.6
    #: Seconds without speech that a take must end with. Good takes are quiet for 0.26 s and more.
    ending_seconds: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 0.1
    #: How many words may be wrong in the transcript: this share of the text's words, plus this number. The smallest
    #: recognizer, tiny.en, got 6 % of the words of 36 good takes of the demo voice wrong, 4 of 17 at worst. Of 300
    #: takes of two novels, full of names that it does not know, a share of 0.3 plus 1.5 words flagged 9; these values
    #: flagged 5 of 300 others, transcribed twice.
    word_error: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = 0.35
    wrong_words: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 1.9
    #: Words in a row that the transcript lacks, or has in addition; in those takes, never more than one.
    stretch_words: Annotated[int, Field(ge=1, le=100)] = 4


class Render(Part):
    """What shapes the sound, and how takes are judged; None means the default.

    A chunk whose take has problems is rendered again, up to `attempts` times in all; `failed` says whether a take that
    still has problems is kept in its chapter or left out.
    """

    model: Model | None = None
    codec: Codec | None = None
    chunk_words: Annotated[int, Field(ge=5, le=200)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    repetition_penalty: Annotated[float, Field(ge=1, le=2, allow_inf_nan=False)] | None = None
    max_tokens: Annotated[int, Field(ge=56)] | None = None
    seed: Seed | None = None
    attempts: Annotated[int, Field(ge=1, le=100)] | None = None
    failed: Literal["keep", "omit"] | None = None
    quality: Quality | None = None


class Series(Part):
    """The series that a book belongs to, and its number there; in YAML the name alone, or a mapping."""

    name: Line
    number: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, data: object) -> object:
        return {"name": data} if isinstance(data, str) else data


class Sample(Part):
    """A sample of the book as a file: the beginning of a chapter, up to the last sentence that fits."""

    chapter: Annotated[int, Field(ge=1)] = 1
    minutes: Annotated[float, Field(ge=0.1, le=60, allow_inf_nan=False)] = 3.0


class Chapter(Part):
    """A chapter with its text, or the file that holds it; `voice` is for this chapter alone.

    `skip` is true, or the reason. `announce` says whether the title is spoken, or is the text to speak; None: as the
    book says.
    """

    title: Line
    text: str | None = None
    file: FilePath | None = None
    voice: Line | None = None
    part: Line | None = None
    subtitle: Line | None = None
    announce: FlagOrLine | None = None
    skip: FlagOrLine = False

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.text is None and self.file is None:
            raise wrong("the chapter has neither `text` nor `file`", "add one of them", "text")
        if self.text is not None and self.file is not None:
            raise wrong("the chapter has both `text` and `file`", "remove one of them", "file")
        return self


class LexiconItem(Part):
    """A word or phrase of the text, and what is spoken for it; `voice` is the only voice that it is for."""

    word: Text
    respelling: Text
    voice: Text | None = None
    case: Literal["exact"] | None = None


def _kind_of_lexicon(data: object) -> str:
    """The tag of the form that a lexicon has; it is in the location of pydantic's errors."""
    return "mapping" if isinstance(data, dict) else "list" if isinstance(data, list | tuple) else "file"


Lexicon = Annotated[
    Annotated[FilePath, Tag("file")]
    | Annotated[dict[str, str], Tag("mapping")]
    | Annotated[tuple[LexiconItem, ...], Tag("list")],
    Discriminator(_kind_of_lexicon),
]
"""A CSV file, relative to the manifest; or words with their respellings; or a list of `LexiconItem`."""


def _switch(value: object) -> object:
    """`on` and `off` as text: YAML readers take them for booleans."""
    words = {"true": "on", "false": "off", "on": "on", "off": "off"}
    return words.get(str(value).lower(), value) if isinstance(value, bool | str) else value


Switch = Annotated[Literal["off", "on"], BeforeValidator(_switch), WithJsonSchema({"enum": ["off", "on", False, True]})]


class Book(Part):
    """A whole book.yaml."""

    title: Line
    author: Line = ""
    language: Language = "en"
    voices: Annotated[dict[VoiceName, Voice], Field(min_length=1)]
    voice: Line | None = None
    chapters: Annotated[tuple[Chapter, ...], Field(min_length=1)]
    #: What is done with marks like `_emphasis_`, `# heading` and `[12]`: `strip` takes them out, `error` refuses them.
    marks: Literal["strip", "error"] = "strip"
    lexicon: Lexicon | None = None
    normalize: Switch = "on"
    pauses: Pauses = Pauses()
    #: None: the sound of the takes as it is.
    master: Annotated[Master | None, BeforeValidator(none_is_absent)] = None
    output: Output = Output()
    render: Render = Render()
    announce: bool = False
    subtitle: Line | None = None
    series: Series | None = None
    narrator: Line | None = None
    publisher: Line | None = None
    date: PublicationDate | None = None
    isbn: Isbn | None = None
    description: About | None = None
    cover: FilePath | None = None
    sample: Sample | None = None
    #: A sound between two chapters.
    jingle: FilePath | None = None
    #: Spoken as files before the first chapter and after the last one.
    credits: Annotated[Credits | None, BeforeValidator(flag_or_credits)] = None
