"""Takes of the demo voice, spoken once and kept in a folder with their sound: what the checks are measured on."""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sentencex import segment

from maya_batch.checkpoint.token_layout import SLOTS, Codes, TokenLayout, read_layout
from maya_batch.engine.api import Request, Sampling
from maya_batch.engine.load import load_engine
from maya_batch.text.token_estimate import cap_tokens, expected_tokens
from maya_batch.text.typography import speakable
from tests.support.demo import CHECKPOINT, CODEC, FEMALE, MALE

if TYPE_CHECKING:
    from maya_batch.audio.snac_codec import Codec

BATCH_ROWS = 32

FEWEST_WORDS, MOST_WORDS = 10, 45

_SPARE = 20
"""Sentences that take the place of those with a scene break in them."""


@dataclass(frozen=True)
class Line:
    """What a take is to say, and what the demo voice is told to say: another thing where a fault is injected so."""

    key: str
    text: str
    said: str
    description: str
    seed: int

    @property
    def expected_frames(self) -> int:
        """As the plan has it."""
        return -(-expected_tokens(self.text, self.description, "en") // SLOTS)

    @property
    def max_frames(self) -> int:
        """As the plan has it."""
        return -(-cap_tokens(self.text, self.description, "en") // SLOTS)


@dataclass(frozen=True)
class Spoken:
    """A line with its take: codes [frames, 7], ended by the model itself, and samples [frames * 2048] at 24 kHz."""

    line: Line
    codes: Codes
    wave: NDArray[np.float32]


def draw_lines(texts: Sequence[Path], count: int, seed: int) -> list[Line]:
    """Sentences of plain text files, for a woman and a man in turn; `seed` settles which, and how they are spoken.

    None runs over a scene break, which no chunk of a book does.
    """
    whole = " ".join(" ".join(path.read_text(encoding="utf-8").split()) for path in texts)
    sentences = [sentence.strip() for sentence in segment("en", whole)]
    fit = [s for s in sentences if FEWEST_WORDS <= len(s.split()) <= MOST_WORDS and "<" not in s]
    lines: list[Line] = []
    for number, sentence in enumerate(random.Random(seed).sample(fit, min(len(fit), count + _SPARE))):
        if "* * *" in sentence or len(lines) == count:
            continue
        text = speakable(sentence)
        lines.append(Line(f"{seed}-{number:04}", text, text, (FEMALE, MALE)[number % 2], seed * 10_000 + number))
    return lines


def speak(folder: Path, lines: Sequence[Line]) -> list[Spoken]:
    """The takes of these lines that the model has ended; what lies in the folder already is not spoken again."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [line for line in lines if not _codes_path(folder, line).is_file()]
    if missing:
        _speak(folder, missing)
    codec: Codec | None = None
    takes = []
    for line in lines:
        with np.load(_codes_path(folder, line)) as archive:
            kept, codes = json.loads(str(archive["line"])), archive["codes"]
            ended = str(archive["finish"]) == "eos"
        if kept != asdict(line):
            raise SystemExit(f"{folder}: the take {line.key} says another text; give an empty folder")
        if not ended:
            print(f"{line.key} did not end by itself and is left out: {line.said}")
            continue
        path = folder / f"{line.key}.npy"
        if not path.is_file():
            codec = codec or _load_codec()
            np.save(path, codec.decode(codes, line.seed))
        takes.append(Spoken(line, codes, np.load(path)))
    return takes


def layout() -> TokenLayout:
    """The demo voice's."""
    return read_layout(CHECKPOINT)


def _speak(folder: Path, lines: Sequence[Line]) -> None:
    by_key = {line.key: line for line in lines}
    requests = []
    for line in lines:
        tokens, likely = (measure(line.said, line.description, "en") for measure in (cap_tokens, expected_tokens))
        requests.append(
            Request(line.key, line.description, line.said, line.seed, -(-tokens // SLOTS), -(-likely // SLOTS))
        )
    # Short beside short: a batch is as long as its longest row.
    requests.sort(key=lambda request: -request.likely_frames)
    engine = load_engine("hf", CHECKPOINT, device="cpu", dtype="float32", quantization="none", batch_size=BATCH_ROWS)
    done = 0
    for rows in engine.generate(requests, Sampling(repetition_penalty=1.0), "framed"):
        for row in rows:
            path = _codes_path(folder, by_key[row.key])
            part = path.with_suffix(".part")
            with part.open("wb") as file:
                told = json.dumps(asdict(by_key[row.key]))
                np.savez(file, codes=row.codes, line=np.array(told), finish=np.array(row.finish))
            part.replace(path)
        done += len(rows)
        print(f"{done} of {len(requests)} takes spoken", flush=True)


def _codes_path(folder: Path, line: Line) -> Path:
    return folder / f"{line.key}.npz"


def _load_codec() -> "Codec":
    import torch

    from maya_batch.audio.snac_codec import load_codec

    return load_codec(CODEC, layout(), torch.device("cpu"))
