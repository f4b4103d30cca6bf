"""Voices and tags are heard: by the pitch of the speech, and by how much longer a tagged text takes."""

import json
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import parselmouth
import pytest
from numpy.typing import NDArray

from maya_batch.audio.waveform_cache import noise_seed
from maya_batch.book.chunk import Chunk
from maya_batch.book.plan import make_plan
from maya_batch.checkpoint.token_layout import SLOTS, Codes
from maya_batch.engine.api import Request, Sampling
from maya_batch.manifest import Render
from maya_batch.run.generate import sequence_seed
from maya_batch.text.token_estimate import cap_tokens
from tests.support.demo import CHECKPOINT, FEMALE, MALE, Rendered, write_book

if TYPE_CHECKING:
    from maya_batch.audio.snac_codec import Codec
    from maya_batch.engine.hf_engine import HfEngine

#: Hertz, of the demo voice's two speakers.
PITCH = {FEMALE: 172.0, MALE: 83.0}
SAMPLING = Sampling(0.4, 0.9, 1.0)
SEEDS = range(5)
SOUNDING = json.loads((CHECKPOINT / "maya_tokens.json").read_text(encoding="utf-8"))["sound_tags"]


def voiced(wave: NDArray[np.float32]) -> list[float]:
    """The pitch of each voiced frame, in Hz."""
    pitch = parselmouth.Sound(wave.astype(np.float64), 24000).to_pitch(pitch_floor=60, pitch_ceiling=350)
    found = pitch.selected_array["frequency"]
    return [float(hertz) for hertz in found[found > 0]]


def assert_pitch(frames: list[float], expected: float) -> float:
    assert len(frames) > 50
    heard = median(frames)
    assert abs(heard - expected) < 0.15 * expected
    return heard


def speak(engine: "HfEngine", chunks: dict[str, Chunk]) -> dict[str, Codes]:
    requests = [
        Request(key, chunk.description, chunk.text, sequence_seed(chunk.ref, 1), chunk.max_frames)
        for key, chunk in chunks.items()
    ]
    return {row.key: row.codes for rows in engine.generate(requests, SAMPLING, "framed") for row in rows}


def test_swapped_descriptions_are_swapped_voices(engine: "HfEngine", codec: "Codec", tmp_path: Path) -> None:
    text = [
        "[anna] The night was dark.",
        "[bert] Come in, my friend.",
        "[anna] We will wait here.",
        "[bert] Who is it?",
    ]
    books: list[tuple[dict[str, str], dict[str, Chunk]]] = []
    for names in (("anna", "bert"), ("bert", "anna")):
        voices = dict(zip(names, (FEMALE, MALE), strict=True))
        book = write_book(tmp_path / f"{names[0]}.yaml", [text], voices=voices)
        books.append((voices, {f"{names[0]} {chunk.ref}": chunk for chunk in make_plan(book, Render()).chunks()}))
    said = speak(engine, books[0][1] | books[1][1])  # both in one batch
    assert len(said) == 8
    for voices, chunks in books:
        heard = {}
        for speaker, turns in (("anna", list(chunks)[0::2]), ("bert", list(chunks)[1::2])):
            assert all(chunks[key].description == voices[speaker] for key in turns)
            frames = [hertz for key in turns for hertz in voiced(codec.decode(said[key], 1))]
            heard[speaker] = assert_pitch(frames, PITCH[voices[speaker]])
        print(f"\nmedian F0: anna {heard['anna']:.1f} Hz, bert {heard['bert']:.1f} Hz")


@pytest.fixture(scope="module")
def tagged(engine: "HfEngine") -> dict[tuple[str, int], int]:
    """Frames of the same word untagged ("") and with each of the sounding tags, five seeds each."""
    requests = []
    for tag in ["", *SOUNDING]:
        text = f"Well. <{tag}>" if tag else "Well."
        frames = cap_tokens(text, FEMALE, "en") // SLOTS
        requests += [Request(f"{tag} {seed}", FEMALE, text, seed, frames) for seed in SEEDS]
    found = {}
    for rows in engine.generate(requests, SAMPLING, "framed"):
        for row in rows:
            tag, seed = row.key.split(" ")
            assert row.finish == "eos", row.key
            found[tag, int(seed)] = len(row.codes)
    return found


@pytest.mark.parametrize("tag", SOUNDING)
def test_a_tag_is_heard(tag: str, tagged: dict[tuple[str, int], int], engine: "HfEngine") -> None:
    token = engine.prompts.tokenizer.known(f"<{tag}>")
    assert token is not None
    assert engine.prompts.encode(FEMALE, f"Well. <{tag}>").count(token) == 1
    assert token not in engine.prompts.encode(FEMALE, "Well.")
    longer = sum(tagged[tag, seed] > tagged["", seed] for seed in SEEDS)
    more = median(tagged[tag, seed] - tagged["", seed] for seed in SEEDS)
    print(f"\n<{tag}>: longer in {longer} of {len(SEEDS)}, by {more} frames in the median")
    assert longer == len(SEEDS)


# The last test here: meanwhile, another worker renders the book.
@pytest.mark.parametrize("chapter", [1, pytest.param(2, marks=pytest.mark.soak)])  # the same voices
def test_each_speaker_of_the_demo_book_has_the_voice_of_his_description(
    chapter: int, demo: Rendered, codec: "Codec"
) -> None:
    frames: dict[str, list[float]] = {"female": [], "male": []}
    for chunk, take in demo.takes():
        if chunk.chapter != chapter:
            continue
        sex = "female" if " female " in chunk.description else "male"
        clip = voiced(codec.decode(np.asarray(take.codes), noise_seed(take.key, take.attempt)))
        frames[sex] += clip
        # A chunk alone is a few words, and its median less sure.
        assert abs(median(clip) - PITCH[FEMALE if sex == "female" else MALE]) < 0.3 * median(clip), chunk.text
    female = assert_pitch(frames["female"], PITCH[FEMALE])
    male = assert_pitch(frames["male"], PITCH[MALE])
    print(f"\nmedian F0 of chapter {chapter}: female {female:.1f} Hz, male {male:.1f} Hz")
