import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maya_batch.checkpoint.token_layout import (
    FRAME_ORDER,
    SLOTS,
    Codes,
    FrameError,
    TokenLayout,
    levels,
    read_layout,
)
from maya_batch.errors import MachineError
from maya_batch.files.builtin_files import builtin
from maya_batch.text.emotion_tags import MAYA1_TAGS
from tests.support.fakes import LAYOUT

MAYA1 = TokenLayout()
DEMO_FOLDER = builtin("assets", "demo-voice", "lm")
DEMO = read_layout(DEMO_FOLDER)


def codes_of(layout: TokenLayout, least: int = 0) -> st.SearchStrategy[Codes]:
    frame = st.lists(st.integers(0, layout.codebook_size - 1), min_size=SLOTS, max_size=SLOTS)
    rows = st.lists(frame, min_size=least, max_size=6)
    return rows.map(lambda frames: np.array(frames, dtype=np.uint16).reshape(-1, SLOTS))


@pytest.mark.parametrize("layout", [MAYA1, DEMO], ids=["maya1", "demo"])
@given(data=st.data())
def test_ids_and_codes_round_trip(layout: TokenLayout, data: st.DataObject) -> None:
    codes = data.draw(codes_of(layout))
    back = layout.frames(layout.tokens(codes))
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back, codes)


def test_each_slot_of_maya1_has_a_band_of_its_own() -> None:
    assert MAYA1.tokens(np.zeros((1, 7), dtype=np.uint16)) == [128266 + 4096 * slot for slot in range(7)]
    assert MAYA1.tokens(np.full((1, 7), 4095, dtype=np.uint16))[-1] == 156937
    assert MAYA1.vocabulary == 156938
    assert [MAYA1.slot_start(slot) for slot in (0, 6)] == [128266, 152842]


def test_levels_follow_the_order_of_a_frame() -> None:
    codes = np.array([range(7), range(10, 17)], dtype=np.uint16)
    first, second, third = levels(codes)
    assert FRAME_ORDER == ("L1", "L2a", "L3a", "L3b", "L2b", "L3c", "L3d")
    assert first.tolist() == [0, 10]
    assert second.tolist() == [1, 4, 11, 14]
    assert third.tolist() == [2, 3, 5, 6, 12, 13, 15, 16]


def from_levels(first: Codes, second: Codes, third: Codes) -> Codes:
    """The inverse of `levels`."""
    pairs, quads = second.reshape(-1, 2), third.reshape(-1, 4)
    return np.column_stack(
        [first, pairs[:, 0], quads[:, 0], quads[:, 1], pairs[:, 1], quads[:, 2], quads[:, 3]]
    ).astype(np.uint16)


@given(codes=codes_of(MAYA1))
def test_levels_round_trip(codes: Codes) -> None:
    first, second, third = levels(codes)
    assert [len(first), len(second), len(third)] == [len(codes), 2 * len(codes), 4 * len(codes)]
    np.testing.assert_array_equal(from_levels(first, second, third), codes)


@pytest.mark.parametrize("slot", range(SLOTS))
@pytest.mark.parametrize("frame", [0, 2])
def test_a_token_outside_its_slot_is_an_error_that_says_where(frame: int, slot: int) -> None:
    codes = np.arange(4 * SLOTS, dtype=np.uint16).reshape(4, SLOTS)
    start = MAYA1.slot_start(slot)
    for stray in (start - 1, start + 4096, MAYA1.eos, MAYA1.pad, 0, 2**31):
        tokens = MAYA1.tokens(codes)
        tokens[frame * SLOTS + slot] = stray
        with pytest.raises(FrameError, match=f"frame {frame}, slot {slot}: token {stray} is not of") as caught:
            MAYA1.frames(tokens)
        assert (caught.value.frame, caught.value.slot) == (frame, slot)
        np.testing.assert_array_equal(caught.value.codes, codes[:frame])
        assert caught.value.codes.dtype == np.uint16


@given(codes=codes_of(DEMO, least=1), data=st.data())
def test_a_token_too_many_is_never_taken_for_speech(codes: Codes, data: st.DataObject) -> None:
    """One stray token shifts all that follows; the published unpacking would not notice."""
    at = data.draw(st.integers(0, codes.size - 1))
    tokens = DEMO.tokens(codes)
    with pytest.raises(FrameError) as caught:
        DEMO.frames([*tokens[:at], tokens[at], *tokens[at:]])
    np.testing.assert_array_equal(caught.value.codes, codes[: len(caught.value.codes)])
    assert caught.value.frame == (at + 1) // SLOTS
    assert caught.value.slot == (at + 1) % SLOTS


@pytest.mark.parametrize("extra", range(1, SLOTS))
def test_a_last_frame_that_is_not_whole_is_an_error(extra: int) -> None:
    codes = np.ones((3, SLOTS), dtype=np.uint16)
    with pytest.raises(FrameError, match=f"frame 2, slot {extra}: the frame is incomplete") as caught:
        MAYA1.frames(MAYA1.tokens(codes)[: 2 * SLOTS + extra])
    assert (caught.value.frame, caught.value.slot) == (2, extra)
    assert caught.value.codes.shape == (2, SLOTS)


def test_no_tokens_are_no_frames() -> None:
    assert MAYA1.frames([]).shape == (0, SLOTS)


@pytest.mark.parametrize("shape", [(7,), (1, 6), (1, 8), (1, 7, 1)])
def test_codes_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"codes must be \[frames, 7\]"):
        MAYA1.tokens(np.zeros(shape, dtype=np.uint16))


def test_a_code_outside_the_codebook_is_refused() -> None:
    with pytest.raises(ValueError, match="code 4096 is outside a codebook of 4096"):
        MAYA1.tokens(np.full((1, 7), 4096, dtype=np.uint16))


def test_the_prompt_of_maya1_is_framed_by_its_ids() -> None:
    assert MAYA1.prompt([1, 2, 3]) == [128259, 128000, 1, 2, 3, 128009, 128260, 128261, 128257]


def test_a_second_of_maya1_is_82_tokens() -> None:
    assert MAYA1.tokens_per_second == pytest.approx(82.03, abs=0.01)
    assert MAYA1.seconds(12) == pytest.approx(1.024)


def test_the_layout_of_the_demo_voice() -> None:
    assert (DEMO.bos, DEMO.eot, DEMO.soh, DEMO.eoh, DEMO.soa, DEMO.sos) == (288, 289, 290, 291, 292, 293)
    assert (DEMO.eos, DEMO.pad, DEMO.code_offset, DEMO.codebook_size) == (294, 295, 296, 1024)
    assert DEMO.vocabulary == 296 + 7 * 1024
    assert DEMO.clip_start_samples == 0
    assert set(DEMO.tags) == {*MAYA1_TAGS, "singing"}


def test_a_checkpoint_without_a_layout_has_that_of_maya1(tmp_path: Path) -> None:
    assert read_layout(tmp_path) == TokenLayout()
    assert read_layout(tmp_path).clip_start_samples == 2048


def written(folder: Path, changes: dict[str, object]) -> TokenLayout:
    (folder / "maya_tokens.json").write_text(json.dumps(LAYOUT | changes))
    return read_layout(folder)


def test_a_layout_may_drop_samples(tmp_path: Path) -> None:
    layout = written(tmp_path, {"clip_start_samples": 100})
    assert layout.clip_start_samples == 100
    assert layout.tags == ("laugh", "sigh")


def test_keys_of_other_versions_are_ignored(tmp_path: Path) -> None:
    """Version 0.1 wrote `drawn_pace` for its benchmark's random weights."""
    assert written(tmp_path, {"drawn_pace": [1, 9]}) == written(tmp_path, {})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"tokens_per_frame": 6}, "tokens_per_frame must be 7"),
        ({"frame_order": ["L1", "L2a", "L2b", "L3a", "L3b", "L3c", "L3d"]}, "frame_order must be L1, L2a"),
        ({"frame_order": None}, "NoneType"),
        ({"bos": "8"}, "bos must be a whole number of 0 or more, not '8'"),
        ({"bos": True}, "bos must be a whole number of 0 or more, not True"),
        ({"bos": 8.0}, "bos must be"),
        ({"bos": -1}, "bos must be"),
        ({"bos": None}, "bos must be"),
        ({"code_offset": 2**31}, "code_offset must be"),
        ({"clip_start_samples": -1}, "clip_start_samples must be"),
        ({"codebook_size": 1}, "codebook_size"),
        ({"codebook_size": 2**16 + 1}, "codebook_size"),
        ({"frame_samples": 0}, "frame_samples"),
        ({"sampling_rate": 0}, "sampling_rate"),
        ({"bos": 9}, "the special ids must differ from each other"),
        ({"eos": 16}, "and from the speech codes"),
        ({"pad": 16 + 7 * 64 - 1}, "and from the speech codes"),
        ({"tags": "laugh"}, "tags must be a list of plain names"),
        ({"tags": ["laugh", 5]}, "tags must be"),
        ({"tags": ["<laugh>"]}, "tags must be"),
        ({"tags": [""]}, "tags must be"),
        ({"tags": 5}, "tags must be a list of plain names"),
    ],
)
def test_a_hostile_layout_is_refused(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(MachineError, match="not a token layout") as caught:
        written(tmp_path, changes)
    assert why in str(caught.value)
    assert str(tmp_path / "maya_tokens.json") in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b"null", b"\xff\xfe", b"{}", b"[" * 100_000])
def test_a_file_that_is_no_layout_at_all_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "maya_tokens.json").write_bytes(content)
    with pytest.raises(MachineError, match="not a token layout"):
        read_layout(tmp_path)


def test_a_key_too_few_is_named(tmp_path: Path) -> None:
    (tmp_path / "maya_tokens.json").write_text(json.dumps({k: v for k, v in LAYOUT.items() if k != "soa"}))
    with pytest.raises(MachineError, match="soa"):
        read_layout(tmp_path)
