"""How a book's chapters are mastered: the key `master` of book.yaml."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from maya_batch.manifest.one_line import wrong
from maya_batch.messages.quoting import quoted

PresetName = Literal["podcast", "store"]

#: Podcast: Apple asks for -16 LUFS in stereo and a true peak of -1 dB at most ("Audio requirements", Apple Podcasts for
#: Creators); a mono file at -19 LUFS sounds as loud through two loudspeakers, and half a dB is left for the encoder.
#: Store: the middle of the -23 to -18 dB RMS that ACX's form and INaudio ask for, and half a dB below their -3 dB.
PRESETS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "podcast": MappingProxyType({"lufs": -19.0, "true_peak": -1.5}),
        "store": MappingProxyType({"rms": -20.0, "true_peak": -3.5}),
    }
)

_Level = Annotated[float, Field(ge=-40, le=-8, allow_inf_nan=False)]


class Master(BaseModel):
    """The sound that chapters get; in YAML a preset's name, or a mapping, in which `preset` may set the rest.

    One of `lufs` and `rms` is set. A limiter holds the true peak, in dB below full scale.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: PresetName | None = None
    lufs: _Level | None = None
    rms: _Level | None = None
    true_peak: Annotated[float, Field(ge=-20, le=-0.1, allow_inf_nan=False)] = -1.5
    #: Whether voices are made as loud as the one that speaks most.
    even_voices: bool = True
    #: Whether clips of a voice are evened, by 2 dB at most.
    even_chunks: bool = False
    #: Whether pauses have quiet noise with the spectrum of the voice's own pauses.
    room_tone: bool = False

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, data: object) -> object:
        if isinstance(data, str):
            data = {"preset": data}
        if not isinstance(data, dict):
            return data
        data = {key: value for key, value in data.items() if value is not None}
        own = PRESETS.get(str(data.get("preset")), {})
        if {"lufs", "rms"} & data.keys():  # it names a level itself
            own = {key: value for key, value in own.items() if key not in ("lufs", "rms")}
        return {**own, **data}

    @model_validator(mode="after")
    def _one_level(self) -> Self:
        if self.lufs is None and self.rms is None:
            raise wrong(
                "`master` has no level", f"name a preset ({', '.join(PRESETS)}), or set `lufs` or `rms`", "lufs"
            )
        if self.lufs is not None and self.rms is not None:
            raise wrong("`master` has both `lufs` and `rms`", "remove one of them", "rms")
        return self


def none_is_absent(value: object) -> object:
    """`master: none`, and unknown presets as a mistake."""
    if not isinstance(value, str):
        return value
    name = value.strip()
    if name.lower() == "none":
        return None
    if name not in PRESETS:
        raise wrong(f"{quoted(name)} is not a preset", f"write one of none, {', '.join(PRESETS)}, or a mapping")
    return name
