"""The keys of `output`: where the audio goes, and its formats."""

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from maya_batch.manifest.audio_formats import CHOICES, OWN_RATE, Choices, FormatName, Mode, ReadAlongName
from maya_batch.manifest.one_line import Folder, wrong
from maya_batch.manifest.part import Part
from maya_batch.messages.quoting import quoted


class Format(Part):
    """A kind of file; in YAML its name alone, or a mapping. `CHOICES` says what each format of audio lets choose.

    `sample_rate` is in Hz; None keeps that of the speech, unless the bitrate needs another. `mode` None is the format's
    default.
    """

    type: Literal[FormatName, ReadAlongName]
    bitrate: str | None = None
    sample_rate: int | None = None
    mode: Mode | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, data: object) -> object:
        if isinstance(data, str):
            data = {"type": data}
        if not isinstance(data, dict):
            return data
        name = data.get("type")
        choices = CHOICES.get(name, Choices()) if isinstance(name, str) else Choices()
        if data.get("bitrate") is None and choices.default is not None:
            data = {**data, "bitrate": choices.default}
        if data.get("sample_rate") is None and isinstance(data.get("bitrate"), str):
            implied = choices.implied_rate(data["bitrate"])
            data = data if implied is None else {**data, "sample_rate": implied}
        return data

    @field_validator("bitrate")
    @classmethod
    def _known_bitrate(cls, bitrate: str | None, info: ValidationInfo) -> str | None:
        choices = CHOICES.get(info.data.get("type", ""), Choices()).bitrates
        if bitrate is not None and choices and bitrate not in choices:
            raise wrong(f"{quoted(bitrate)} is not a bitrate", "write one of " + ", ".join(choices))
        return bitrate

    @model_validator(mode="after")
    def _only_what_the_format_has(self) -> Self:
        choices = CHOICES.get(self.type, Choices())
        for key, value, allowed in (
            ("bitrate", self.bitrate, choices.bitrates),
            ("sample_rate", self.sample_rate, choices.sample_rates),
            ("mode", self.mode, choices.modes),
        ):
            if value is None or value in allowed:
                continue
            if not allowed:
                raise wrong(f"`{key}` does not apply to {self.type}", "remove it", key)
            known = ", ".join(str(each) for each in allowed)
            raise wrong(f"`{key}` of {self.type} cannot be {value}", f"write one of {known}", key)
        rate = self.sample_rate or OWN_RATE
        if self.bitrate is not None and choices.bitrates and self.bitrate not in choices.bitrates_at(rate):
            known = ", ".join(choices.bitrates_at(rate))
            raise wrong(
                f"`bitrate` of {self.type} cannot be {self.bitrate} at {rate} Hz", f"write one of {known}", "bitrate"
            )
        return self


class Output(Part):
    """Where the audio goes, and its formats; more of them are for people who read along. `folder` is relative to the
    manifest's folder.

    With `audiobookshelf` the audio is in the folders Author/Series/Title below it, with the cover and metadata.opf.
    """

    folder: Folder | None = None
    formats: Annotated[tuple[Format, ...], Field(min_length=1)] = (Format(type="wav"),)
    layout: Literal["flat", "audiobookshelf"] = "flat"

    @field_validator("formats")
    @classmethod
    def _no_format_twice(cls, formats: tuple[Format, ...]) -> tuple[Format, ...]:
        types = [format_.type for format_ in formats]
        twice = next((name for name in types if types.count(name) > 1), None)
        if twice:
            raise wrong(f"lists the format {twice} twice", "remove one of them")
        return formats

    @property
    def audio(self) -> tuple[Format, ...]:
        """The formats of audio."""
        return tuple(format_ for format_ in self.formats if format_.type in CHOICES)

    @property
    def epub_audio(self) -> Format | None:
        """The format of the audio in an EPUB that speaks: one of the book's that reading systems must play, else M4A.

        None without such an EPUB.
        """
        if not self.has("epub3"):
            return None
        return next((format_ for format_ in self.audio if format_.type in ("mp3", "m4a")), Format(type="m4a"))

    @property
    def reads_along(self) -> bool:
        """Whether a format for people who read along is asked for."""
        return len(self.audio) < len(self.formats)

    def has(self, name: ReadAlongName) -> bool:
        """Whether this format is asked for."""
        return any(format_.type == name for format_ in self.formats)

    @model_validator(mode="after")
    def _some_audio(self) -> Self:
        if not self.audio:
            raise wrong("names no audio format", "add one, for example mp3", "formats")
        return self

    @model_validator(mode="after")
    def _one_format_in_a_library(self) -> Self:
        if self.layout == "audiobookshelf" and len(self.audio) > 1:
            what = "`layout` audiobookshelf takes one audio format: it plays all files of a folder one after the other"
            raise wrong(what, "name one of `formats`, for example m4b", "layout")
        return self
