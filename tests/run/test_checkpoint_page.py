"""The lines that tell how a checkpoint spoke."""

import numpy as np
import pytest

from maya_batch.checkpoint.token_layout import SLOTS, TokenLayout
from maya_batch.engine.api import Generation
from maya_batch.quality import Transcript
from maya_batch.run.checkpoint_page import SpokenClip, clip_lines, cost_lines, level
from tests.support.signals import hush, noise

LAYOUT = TokenLayout()


def clip(start: float, frames: int = 12, transcript: Transcript | None = None) -> SpokenClip:
    """A clip whose first 2048 samples are noise of this strength, and the rest noise of 0.1."""
    wave = noise(frames * LAYOUT.frame_samples / LAYOUT.sampling_rate)
    wave[: LAYOUT.clip_start_samples] *= start
    codes = np.ones((frames, SLOTS), dtype=np.uint16)
    return SpokenClip(1, 0, 24, Generation("key", codes, "eos"), wave, transcript, ())


def test_levels_are_those_of_full_scale() -> None:
    at = np.arange(24000)
    assert level(np.sin(at).astype(np.float32)) == pytest.approx(-3.01, abs=0.01)
    assert level(np.ones(10, dtype=np.float32)) == 0
    assert level(noise(1)) == pytest.approx(-20, abs=0.1)
    assert level(hush(1)) == level(hush(0)) == -120


@pytest.mark.parametrize(("start", "before"), [(0.0, "-120.0"), (0.1, "-40."), (10.0, "0."), (1.0, "-20.")])
def test_the_level_of_what_is_dropped_is_told_next_to_what_follows(start: float, before: str) -> None:
    lines = clip_lines([clip(start)], LAYOUT)
    assert lines[1].split()[6].startswith(before)
    assert lines[1].split()[7].startswith(("-20.", "-19."))
    told = next(line for line in lines if line.startswith("clip start"))
    assert told.startswith(f"clip start  median RMS of the 2048 samples (85 ms) to drop: {before}")


def test_clips_without_sound_have_lines_like_others() -> None:
    empty = SpokenClip(1, 0, 24, Generation("key", np.zeros((0, SLOTS), np.uint16), "broken"), hush(0), None, ())
    lines = clip_lines([empty], LAYOUT)
    assert lines[1].split() == ["1", "0", "broken", "0", "24", "0.0", "-120.0", "-120.0", "-"]
    assert "EOS         ended 0 of 1 sequence" in lines


def test_means_are_of_the_clips_that_were_transcribed() -> None:
    heard = [clip(1, transcript=Transcript("/home/me/small.en", "words", error)) for error in (0.1, 0.3)]
    assert clip_lines([*heard, clip(1)], LAYOUT)[-1] == "word error  0.200 on average, by small.en"


def test_speed_and_memory() -> None:
    assert cost_lines([clip(1), clip(1)], LAYOUT, 2.0, 0.5, 7 * 2**30, 2**30) == [
        "speed       12.0 frames/s, 1.02 x real time (2 sequences together)",
        "            codec: 4.1 x real time",
        "memory      peak: GPU 7.00 GiB, process 1.00 GiB",
    ]
