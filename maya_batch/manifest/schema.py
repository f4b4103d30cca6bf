"""The shape of book.yaml: what may stand in it, within which bounds, and what applies by default."""

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from maya_batch.manifest.audio_formats import BITRATES, DEFAULT_BITRATES, MP3_BITRATES, FormatName
from maya_batch.manifest.one_line import Codec, Description, FilePath, Folder, Language, Line, Model, VoiceName, wrong
from maya_batch.messages.quoting import quoted

Seconds = Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Part(BaseModel):
    """What all parts of a manifest share: read once, never changed, and no key too many."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _empty_means_default(cls, data: object) -> object:
        """`pauses:` with nothing behind it is as good as no `pauses:` at all."""
        if not isinstance(data, dict):
            return data
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {key: data[key] for key in data if data[key] is not None or key not in optional}


class Voice(Part):
    """A voice, described in words; in YAML the description alone, or a mapping."""

    description: Description
    seed: Seed | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare_description(cls, data: object) -> object:
        return {"description": data} if isinstance(data, str) else data


class Pauses(Part):
    """Silences, in seconds."""

    sentence: Seconds = 0.25
    paragraph: Seconds = 0.6
    chapter_start: Seconds = 0.5
    chapter_end: Seconds = 1.5


class Format(Part):
    """A kind of audio file; in YAML its name alone, or a mapping. `bitrate` is for mp3 only."""

    type: FormatName
    bitrate: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, data: object) -> object:
        if isinstance(data, str):
            data = {"type": data}
        if isinstance(data, dict) and data.get("bitrate") is None:
            default = next((rate for name, rate in DEFAULT_BITRATES.items() if name == data.get("type")), None)
            data = {**data, "bitrate": default} if default else data
        return data

    @field_validator("bitrate")
    @classmethod
    def _known_bitrate(cls, bitrate: str | None, info: ValidationInfo) -> str | None:
        choices = BITRATES.get(info.data.get("type", ""), MP3_BITRATES)
        if bitrate is not None and bitrate not in choices:
            raise wrong(f"{quoted(bitrate)} is no bitrate", "write one of " + ", ".join(choices))
        return bitrate

    @model_validator(mode="after")
    def _bitrate_where_there_are_some(self) -> Self:
        if self.type not in BITRATES and self.bitrate is not None:
            raise wrong(f"`bitrate` has no meaning for {self.type}", "remove it", "bitrate")
        return self


class Output(Part):
    """Where the audio goes and as what. `folder` is relative to the manifest's folder."""

    folder: Folder | None = None
    formats: Annotated[tuple[Format, ...], Field(min_length=1)] = (Format(type="wav"),)

    @field_validator("formats")
    @classmethod
    def _no_format_twice(cls, formats: tuple[Format, ...]) -> tuple[Format, ...]:
        types = [format_.type for format_ in formats]
        twice = next((name for name in types if types.count(name) > 1), None)
        if twice:
            raise wrong(f"names the format {twice} twice", "remove one of them")
        return formats


class Quality(Part):
    """When a take counts as a failed one. What stands here shapes no take, so it may change at any time.

    The thresholds were tuned on takes of the demo voice, of texts of 10 to 45 words, and measured on 300 others
    (`python -m tests.measure.detection`), of which 6 were flagged, all by their words. What is said of good takes was
    seen on 600.
    """

    #: A take's length as a factor of what its words take at the voice's own pace. Good takes have 0.79 to 1.29, but
    #: for one that has 0.69.
    shortest: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.75
    longest: Annotated[float, Field(ge=1, le=10, allow_inf_nan=False)] = 1.3
    #: Seconds of speech said twice which the text does not say twice: about three words, at the 0.45 to 0.67 s a word
    #: reported for Maya1.
    repeated_seconds: Annotated[float, Field(ge=0.5, le=60, allow_inf_nan=False)] = 1.5
    #: Seconds of silence inside a take. Good ones pause for 0.7 s at most.
    pause_seconds: Annotated[float, Field(ge=0.2, le=60, allow_inf_nan=False)] = 1.5
    #: Seconds of noise in one piece. Good takes hiss for 0.26 s at most, in their longest consonants.
    noise_seconds: Annotated[float, Field(ge=0.1, le=60, allow_inf_nan=False)] = 0.6
    #: Seconds at a take's end in which there must be no speech any more. Good takes are quiet for 0.26 s and more.
    ending_seconds: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 0.1
    #: Words a recognizer heard otherwise than they stand: this share of the text's words, and this many more. The
    #: smallest recognizer, tiny.en, misheard 6 % of the words of 36 good takes of the demo voice, 4 of 17 at worst; of
    #: 300 takes of two novels, full of names it never heard, a share of 0.3 and 1.5 words more flagged 9; these
    #: flagged 5 of 300 others, heard twice.
    word_error: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = 0.35
    wrong_words: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 1.9
    #: Words in a row that are not heard, or are heard though they do not stand there: in those takes, never over one.
    stretch_words: Annotated[int, Field(ge=1, le=100)] = 4


class Render(Part):
    """What shapes the sound, and what a take of it is judged by; None leaves it to the default.

    A take with problems is made again, up to `attempts` in all; `failed` says whether one that still has some is kept
    in its chapter or left out.
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


class Chapter(Part):
    """A chapter with its text, or the file that holds it; `voice` is for this chapter alone."""

    title: Line
    text: str | None = None
    file: FilePath | None = None
    voice: Line | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.text is None and self.file is None:
            raise wrong("the chapter has neither `text` nor `file`", "give it one of them", "text")
        if self.text is not None and self.file is not None:
            raise wrong("the chapter has both `text` and `file`", "remove one of them", "file")
        return self


class Book(Part):
    """A whole book.yaml."""

    title: Line
    author: Line = ""
    language: Language = "en"
    voices: Annotated[dict[VoiceName, Voice], Field(min_length=1)]
    voice: Line | None = None
    chapters: Annotated[tuple[Chapter, ...], Field(min_length=1)]
    pauses: Pauses = Pauses()
    output: Output = Output()
    render: Render = Render()
