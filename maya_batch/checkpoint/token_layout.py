"""Maya1's tokens: the prompt as ids, and speech tokens to frames of codes and back.

The layout of the ids is a property of the checkpoint: a file `maya_tokens.json` beside its weights gives it,
and a checkpoint without that file has the layout of maya-research/maya1. Nothing here is lenient: a token
that stands in the wrong slot is an error, because one stray token would shift every later frame unnoticed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maya_batch.errors import MachineError
from maya_batch.files.json_file import read_json
from maya_batch.messages.quoting import quoted
from maya_batch.text.emotion_tags import MAYA1_TAGS

LAYOUT_FILE = "maya_tokens.json"

#: The slots of a frame by SNAC level, in the order the model writes them (as in Orpheus-3B).
FRAME_ORDER = ("L1", "L2a", "L3a", "L3b", "L2b", "L3c", "L3d")
SLOTS = len(FRAME_ORDER)

#: min_new_tokens 28 of the published inference script, in frames.
MIN_FRAMES = 4

#: What Maya1 speaks, by its card on the hub.
MAYA1_LANGUAGES = ("en",)

#: How many tags a layout may have, and letters one of them: Maya1 has 20, of up to 12.
_MOST_TAGS, _MOST_LETTERS = 1000, 64

Codes = NDArray[np.uint16]


class FrameError(ValueError):
    """Speech tokens do not form whole frames.

    `frame` and `slot` say where the first wrong token stands; `codes` [frame, 7] are the whole frames before it.
    """

    def __init__(self, frame: int, slot: int, what: str, codes: Codes) -> None:
        self.frame, self.slot, self.codes = frame, slot, codes
        super().__init__(f"frame {frame}, slot {slot}: {what}")


@dataclass(frozen=True)
class TokenLayout:
    """Which id means what, and how codes become sound. The defaults are those of maya-research/maya1."""

    bos: int = 128000
    eot: int = 128009
    soh: int = 128259
    eoh: int = 128260
    soa: int = 128261
    sos: int = 128257
    eos: int = 128258
    pad: int = 128263
    code_offset: int = 128266
    codebook_size: int = 4096
    frame_samples: int = 2048
    """Samples a frame of 7 tokens decodes to."""
    sampling_rate: int = 24000
    clip_start_samples: int = 2048
    """Samples dropped at every clip's start, where the published script found a warm-up click."""
    tags: tuple[str, ...] = MAYA1_TAGS
    """Emotion tags the checkpoint is said to know; the tokenizer has the last word."""
    languages: tuple[str, ...] = MAYA1_LANGUAGES
    """What it speaks, as codes of ISO 639."""

    @property
    def vocabulary(self) -> int:
        """The least number of rows the embedding must have."""
        specials = (self.bos, self.eot, self.soh, self.eoh, self.soa, self.sos, self.eos, self.pad)
        return max(self.code_offset + SLOTS * self.codebook_size, max(specials) + 1)

    @property
    def tokens_per_second(self) -> float:
        """Speech tokens a second of sound."""
        return SLOTS * self.sampling_rate / self.frame_samples

    def seconds(self, frames: int) -> float:
        """The sound of so many frames, in seconds."""
        return frames * self.frame_samples / self.sampling_rate

    def slot_start(self, slot: int) -> int:
        """The id of code 0 in this slot of a frame."""
        return self.code_offset + slot * self.codebook_size

    def prompt(self, text_ids: Sequence[int]) -> list[int]:
        """The whole prompt around the ids of `<description="…"> text`.

        Ids, not a string: special tokens written as text and tokenized again risk a second BOS.
        """
        return [self.soh, self.bos, *text_ids, self.eot, self.eoh, self.soa, self.sos]

    def tokens(self, codes: Codes) -> list[int]:
        """Codes [frames, 7] as the ids the model writes for them."""
        if codes.ndim != 2 or codes.shape[1] != SLOTS:
            raise ValueError(f"codes must be [frames, {SLOTS}], not {list(codes.shape)}")
        if codes.size and int(codes.max()) >= self.codebook_size:
            raise ValueError(f"code {int(codes.max())} is outside a codebook of {self.codebook_size}")
        starts = self.code_offset + np.arange(SLOTS, dtype=np.int64) * self.codebook_size
        return [int(token) for token in (codes + starts).reshape(-1)]

    def frames(self, tokens: Sequence[int]) -> Codes:
        """The ids of speech tokens as codes [frames, 7].

        Raises:
            FrameError: a token is not in the band of its slot, or the last frame is not whole.
        """
        ids = np.asarray(tokens, dtype=np.int64)
        starts = self.code_offset + (np.arange(len(ids)) % SLOTS) * self.codebook_size
        codes = ids - starts
        wrong = np.flatnonzero((codes < 0) | (codes >= self.codebook_size))
        whole = (int(wrong[0]) if len(wrong) else len(ids)) // SLOTS
        kept = codes[: whole * SLOTS].reshape(whole, SLOTS).astype(np.uint16)
        if len(wrong):
            at = int(wrong[0])
            raise FrameError(at // SLOTS, at % SLOTS, f"token {ids[at]} is not of this slot", kept)
        if len(ids) % SLOTS:
            raise FrameError(whole, len(ids) % SLOTS, "the frame is not whole", kept)
        return kept


def levels(codes: Codes) -> tuple[Codes, Codes, Codes]:
    """Codes [frames, 7] by SNAC level: [frames], [2 frames] and [4 frames], in time order."""
    return codes[:, 0].copy(), codes[:, [1, 4]].reshape(-1), codes[:, [2, 3, 5, 6]].reshape(-1)


def read_layout(folder: Path) -> TokenLayout:
    """The layout of the checkpoint in `folder`: its own `maya_tokens.json`, else Maya1's.

    Raises:
        MachineError: the file is there and does not describe a layout this program can speak.
    """
    path = folder / LAYOUT_FILE
    if not path.is_file():
        return TokenLayout()
    try:
        return _parse_layout(read_json(path))
    except (OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise MachineError(f"{path}: not a token layout ({error}); take the checkpoint's own file") from error


def _parse_layout(data: dict[str, Any]) -> TokenLayout:
    """A layout out of the JSON of `maya_tokens.json`, every number checked."""
    if not isinstance(data, dict):
        raise TypeError("it is not a mapping")
    if data.get("tokens_per_frame", SLOTS) != SLOTS:
        raise ValueError(f"tokens_per_frame must be {SLOTS}")
    if tuple(data.get("frame_order", FRAME_ORDER)) != FRAME_ORDER:
        raise ValueError(f"frame_order must be {', '.join(FRAME_ORDER)}")
    # A checkpoint that brings its own layout says itself what is to be dropped; Maya1's 2048 is Maya1's.
    numbers = {"clip_start_samples": data.get("clip_start_samples", 0)}
    for field in fields(TokenLayout):
        if field.name not in ("tags", "clip_start_samples", "languages"):
            numbers[field.name] = data[field.name]
    for name, number in numbers.items():
        if type(number) is not int or not 0 <= number < 2**31:
            raise ValueError(f"{name} must be a whole number from 0 on, not {quoted(number)}")
    if not 2 <= numbers["codebook_size"] <= 2**16 or not numbers["frame_samples"] or not numbers["sampling_rate"]:
        raise ValueError("codebook_size, frame_samples and sampling_rate must be more than 0")
    band = range(numbers["code_offset"], numbers["code_offset"] + SLOTS * numbers["codebook_size"])
    specials = [numbers[name] for name in ("bos", "eot", "soh", "eoh", "soa", "sos", "eos", "pad")]
    if len(set(specials)) != len(specials) or any(special in band for special in specials):
        raise ValueError("the special ids must differ from each other and from the speech codes")
    tags = data.get("tags", MAYA1_TAGS)
    if not isinstance(tags, list | tuple) or len(tags) > _MOST_TAGS or not all(map(_is_plain_name, tags)):
        raise ValueError(f"tags must be a list of plain names, {_MOST_TAGS} at most")
    languages = data.get("languages", MAYA1_LANGUAGES)
    if (
        not isinstance(languages, list | tuple)
        or len(languages) > _MOST_TAGS
        or not all(map(_is_plain_name, languages))
    ):
        raise ValueError("languages must be a list of codes like en")
    lower = tuple(code.lower() for code in languages)
    return TokenLayout(**numbers, tags=tuple(tags), languages=lower)


def _is_plain_name(tag: object) -> bool:
    return isinstance(tag, str) and len(tag) <= _MOST_LETTERS and tag.replace("_", "").isalnum()
