"""Maya1's tokens: builds the prompt's ids, and converts speech tokens to frames of codes and back.

The layout of the ids is a property of the checkpoint: a file `maya_tokens.json` next to its weights defines it,
and a checkpoint without that file has the layout of maya-research/maya1. A token in the wrong slot is an error,
because one stray token would shift every later frame unnoticed.

NumPy is imported where it is used: planning a book needs none, and it would take a fifth of the program's start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from maya_batch.checkpoint.gguf_file import read_gguf
from maya_batch.checkpoint.locate import is_gguf
from maya_batch.errors import MachineError
from maya_batch.files.json_file import parse_json, read_json
from maya_batch.messages.quoting import quoted
from maya_batch.text.emotion_tags import MAYA1_TAGS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LAYOUT_FILE = "maya_tokens.json"

LAYOUT_KEY = "maya_batch.token_layout"
"""The key of a GGUF file that has the content of `maya_tokens.json`."""

#: What parsing raises for content that is not a layout.
_INVALID = (OSError, ValueError, TypeError, KeyError, OverflowError)

#: The slots of a frame by SNAC level, in the order the model writes them (as in Orpheus-3B).
FRAME_ORDER = ("L1", "L2a", "L3a", "L3b", "L2b", "L3c", "L3d")
SLOTS = len(FRAME_ORDER)

#: The published inference script's min_new_tokens, 28, in frames.
MIN_FRAMES = 4

#: The languages that Maya1 speaks, by its card on the hub.
MAYA1_LANGUAGES = ("en",)

#: The most tags of a layout, and letters of a tag: Maya1 has 20 tags of up to 12 letters.
_MOST_TAGS, _MOST_LETTERS = 1000, 64

Codes: TypeAlias = "NDArray[np.uint16]"


class FrameError(ValueError):
    """Speech tokens do not form whole frames.

    `frame` and `slot` are those of the first wrong token; `codes` [frame, 7] are the whole frames before it.
    """

    def __init__(self, frame: int, slot: int, what: str, codes: Codes) -> None:
        self.frame, self.slot, self.codes = frame, slot, codes
        super().__init__(f"frame {frame}, slot {slot}: {what}")


@dataclass(frozen=True)
class TokenLayout:
    """The meaning of ids, and how codes become sound. The defaults are those of maya-research/maya1."""

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
    """Samples that a frame of 7 tokens decodes to."""
    sampling_rate: int = 24000
    clip_start_samples: int = 2048
    """Samples dropped at every clip's start, where the published script found a warm-up click."""
    tags: tuple[str, ...] = MAYA1_TAGS
    """Emotion tags of the checkpoint; the tokenizer must know them, too."""
    languages: tuple[str, ...] = MAYA1_LANGUAGES
    """The languages that it speaks, as ISO 639 codes."""

    @property
    def vocabulary(self) -> int:
        """The least number of rows that the embedding must have."""
        specials = (self.bos, self.eot, self.soh, self.eoh, self.soa, self.sos, self.eos, self.pad)
        return max(self.code_offset + SLOTS * self.codebook_size, max(specials) + 1)

    @property
    def tokens_per_second(self) -> float:
        """Speech tokens a second of sound."""
        return SLOTS * self.sampling_rate / self.frame_samples

    def seconds(self, frames: int) -> float:
        """The length of this many frames, in seconds."""
        return frames * self.frame_samples / self.sampling_rate

    def samples(self, frames: int) -> int:
        """The samples of a clip of this many frames; none are left of one that is dropped as a clip's start."""
        return max(frames * self.frame_samples - self.clip_start_samples, 0)

    def slot_start(self, slot: int) -> int:
        """The id of code 0 in this slot of a frame."""
        return self.code_offset + slot * self.codebook_size

    def prompt(self, text_ids: Sequence[int]) -> list[int]:
        """The whole prompt around the ids of `<description="…"> text`.

        Ids, not a string: special tokens written as text and tokenized again risk a second BOS.
        """
        return [self.soh, self.bos, *text_ids, self.eot, self.eoh, self.soa, self.sos]

    def tokens(self, codes: Codes) -> list[int]:
        """Codes [frames, 7] as the ids that the model writes for them."""
        if codes.ndim != 2 or codes.shape[1] != SLOTS:
            raise ValueError(f"codes must be [frames, {SLOTS}], not {list(codes.shape)}")
        if codes.size and int(codes.max()) >= self.codebook_size:
            raise ValueError(f"code {int(codes.max())} is outside a codebook of {self.codebook_size}")
        import numpy as np

        starts = self.code_offset + np.arange(SLOTS, dtype=np.int64) * self.codebook_size
        return [int(token) for token in (codes + starts).reshape(-1)]

    def frames(self, tokens: Sequence[int]) -> Codes:
        """The ids of speech tokens as codes [frames, 7].

        Raises:
            FrameError: a token is outside the range of its slot, or the last frame is incomplete.
        """
        import numpy as np

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
            raise FrameError(whole, len(ids) % SLOTS, "the frame is incomplete", kept)
        return kept


def levels(codes: Codes) -> tuple[Codes, Codes, Codes]:
    """Codes [frames, 7] by SNAC level: [frames], [2 frames] and [4 frames], in time order."""
    return codes[:, 0].copy(), codes[:, [1, 4]].reshape(-1), codes[:, [2, 3, 5, 6]].reshape(-1)


def read_layout(path: Path) -> TokenLayout:
    """The layout of the checkpoint at `path`, a folder or a GGUF file; Maya1's, if it has none.

    A folder has it in `maya_tokens.json`, and a GGUF file in its metadata.

    Raises:
        MachineError: it is not a layout that this program supports, or the GGUF file is damaged.
    """
    if is_gguf(path):
        return _layout_of_gguf(path)
    file = path / LAYOUT_FILE
    if not file.is_file():
        return TokenLayout()
    try:
        return _parse_layout(read_json(file))
    except _INVALID as error:
        raise MachineError(
            f"{file}: not a token layout ({error}); use the file that came with the checkpoint"
        ) from error


def _layout_of_gguf(path: Path) -> TokenLayout:
    text = read_gguf(path).metadata.get(LAYOUT_KEY)
    if text is None:
        return TokenLayout()
    try:
        if not isinstance(text, str):
            raise TypeError("it is not a text")
        return _parse_layout(parse_json(text.encode()))
    except _INVALID as error:
        raise MachineError(f"{path}: {LAYOUT_KEY} is not a token layout ({error}); convert the model again") from error


def _parse_layout(data: dict[str, Any]) -> TokenLayout:
    """The layout in the JSON of `maya_tokens.json`, with every number checked."""
    if not isinstance(data, dict):
        raise TypeError("it is not a mapping")
    if data.get("tokens_per_frame", SLOTS) != SLOTS:
        raise ValueError(f"tokens_per_frame must be {SLOTS}")
    if tuple(data.get("frame_order", FRAME_ORDER)) != FRAME_ORDER:
        raise ValueError(f"frame_order must be {', '.join(FRAME_ORDER)}")
    # Maya1's default of 2048 is for Maya1 only; another layout names its own number, or drops nothing.
    numbers = {"clip_start_samples": data.get("clip_start_samples", 0)}
    for field in fields(TokenLayout):
        if field.name not in ("tags", "clip_start_samples", "languages"):
            numbers[field.name] = data[field.name]
    for name, number in numbers.items():
        if type(number) is not int or not 0 <= number < 2**31:
            raise ValueError(f"{name} must be a whole number of 0 or more, not {quoted(number)}")
    if not 2 <= numbers["codebook_size"] <= 2**16 or not numbers["frame_samples"] or not numbers["sampling_rate"]:
        raise ValueError("codebook_size, frame_samples and sampling_rate must be more than 0")
    band = range(numbers["code_offset"], numbers["code_offset"] + SLOTS * numbers["codebook_size"])
    specials = [numbers[name] for name in ("bos", "eot", "soh", "eoh", "soa", "sos", "eos", "pad")]
    if len(set(specials)) != len(specials) or any(special in band for special in specials):
        raise ValueError("the special ids must differ from each other and from the speech codes")
    tags = data.get("tags", MAYA1_TAGS)
    if not _are_plain_names(tags):
        raise ValueError(f"tags must be a list of plain names, {_MOST_TAGS} at most")
    languages = data.get("languages", MAYA1_LANGUAGES)
    if not _are_plain_names(languages):
        raise ValueError("languages must be a list of codes like en")
    return TokenLayout(**numbers, tags=tuple(tags), languages=tuple(code.lower() for code in languages))


def _are_plain_names(names: object) -> bool:
    return (
        isinstance(names, list | tuple)
        and len(names) <= _MOST_TAGS
        and all(
            isinstance(name, str) and len(name) <= _MOST_LETTERS and name.replace("_", "").isalnum() for name in names
        )
    )
