import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maya_batch.manifest import Quality
from maya_batch.quality.audio_checks import check_end, check_sound, quiet_end
from tests.support.fakes import FakeCodec
from tests.support.signals import RATE, Wave, hush, noise, tones

TEXT = "The night was dark and the river was high."
SPEECH = np.concatenate((tones(4.0), hush(0.1)))


def kinds(wave: Wave, text: str = TEXT, quality: Quality | None = None) -> list[str]:
    return [problem.kind for problem in check_sound(wave, RATE, text, quality or Quality())]


def test_plain_speech_has_no_problem() -> None:
    assert kinds(SPEECH) == []
    assert kinds(np.concatenate((hush(2.0), SPEECH, hush(2.0)))) == []


def test_a_take_without_sound_is_silent_and_nothing_else() -> None:
    assert kinds(hush(1.0)) == ["silent"]
    assert kinds(hush(0.0)) == ["silent"]
    assert kinds(SPEECH * np.float32(1e-4)) == ["silent"]
    (problem,) = check_sound(hush(1.0), RATE, TEXT, Quality())
    assert problem.detail == "the whole take is silent (1.0 s)"
    click = np.concatenate((hush(1.0), tones(0.03), hush(1.0)))
    assert kinds(click) == ["silent"]


def test_a_long_silence_inside_is_a_pause_unless_a_tag_may_make_it() -> None:
    wave = np.concatenate((SPEECH, hush(1.8), SPEECH))
    (problem,) = check_sound(wave, RATE, TEXT, Quality())
    assert problem.kind == "pause"
    assert problem.detail in ("1.9 s of silence at 4.0 s", "2.0 s of silence at 4.0 s")
    assert kinds(np.concatenate((SPEECH, hush(1.2), SPEECH))) == []
    assert kinds(wave, "The night <sigh> was dark.") == []
    assert kinds(wave, quality=Quality(pause_seconds=2.0)) == []


def test_noise_is_a_problem_unless_a_tag_or_a_whisper_may_make_it() -> None:
    wave = np.concatenate((SPEECH, noise(1.0), SPEECH))
    assert kinds(wave) == ["noise"]
    assert kinds(wave, "The night <exhale> was dark.") == []
    assert kinds(np.concatenate((SPEECH, noise(0.3), SPEECH))) == []
    whisper = np.concatenate((SPEECH, noise(20.0), SPEECH))
    assert kinds(whisper, "<sigh> The night was dark.") == ["noise"]
    assert kinds(whisper, "<whisper> The night was dark.") == []


def test_noise_long_before_a_whisper_is_a_problem_and_later_noise_is_none() -> None:
    text = "The night was dark and the river was high, so nobody heard them. <whisper> Come in."
    assert kinds(np.concatenate((noise(2.0), SPEECH, SPEECH, noise(2.0), hush(0.3))), text) == ["noise"]
    assert kinds(np.concatenate((SPEECH, SPEECH, noise(4.0), hush(0.3))), text) == []
    assert kinds(np.concatenate((noise(2.0), SPEECH)), f"<sigh> {text}") == []


def test_speech_that_has_not_faded_at_its_end_breaks_off() -> None:
    cut = tones(3.8)  # in the middle of a word, at its loudest
    assert kinds(cut) == ["ending"]
    assert kinds(np.concatenate((cut, hush(0.3)))) == []
    assert kinds(cut, TEXT + " <laugh>") == []
    assert kinds(cut, "<laugh> " + TEXT) == ["ending"]
    assert kinds(cut, quality=Quality(ending_seconds=0)) == []


def test_speech_that_ends_sooner_than_its_voice_does_breaks_off() -> None:
    wave = np.concatenate((tones(4.0), hush(0.2)))
    quiet = quiet_end(wave, RATE, TEXT)
    assert quiet is not None
    assert quiet == pytest.approx(0.21, abs=0.03)
    assert check_sound(wave, RATE, TEXT, Quality()) == ()
    assert check_end(quiet, quiet, Quality()) == []
    (problem,) = check_end(quiet, 0.3, Quality())
    assert problem.kind == "ending"
    assert problem.detail.endswith("s of quiet at the end; complete takes of this voice end with 0.30 s or more")
    assert check_end(quiet, 0.3, Quality(ending_seconds=0)) == []


def test_what_ends_with_a_tag_or_has_no_sound_has_no_quiet_end() -> None:
    assert quiet_end(SPEECH, RATE, f"{TEXT} <laugh>") is None
    assert quiet_end(hush(1.0), RATE, TEXT) is None
    assert quiet_end(hush(0.0), RATE, TEXT) is None
    assert quiet_end(tones(3.8), RATE, TEXT) == 0


def test_flat_tops_are_clipped_and_loud_speech_is_not() -> None:
    loud = SPEECH / np.abs(SPEECH).max()
    assert kinds(loud * np.float32(0.98)) == []
    peaks = loud * np.float32(0.98)
    peaks[np.abs(loud) > 0.9] = np.sign(loud[np.abs(loud) > 0.9])
    single = np.where(np.arange(len(loud)) % 3 == 0, peaks, loud * np.float32(0.98))
    assert np.count_nonzero(np.abs(single) == 1) > 24
    assert kinds(single) == []
    (problem,) = check_sound(np.clip(loud * np.float32(3), -1, 1), RATE, TEXT, Quality())
    assert problem.kind == "clipped"


def test_an_offset_is_a_problem() -> None:
    assert kinds(SPEECH * np.float32(0.5) + np.float32(0.03))[0] == "dc"


def test_samples_that_are_no_numbers_are_told_and_not_worked_with() -> None:
    wave = SPEECH.copy()
    wave[[5, 9]] = np.nan, np.inf
    assert [(p.kind, p.detail) for p in check_sound(wave, RATE, TEXT, Quality())] == [
        ("broken", "2 non-finite samples (NaN or infinite)")
    ]


def test_what_is_no_wave_is_refused() -> None:
    with pytest.raises(ValueError, match="not one-dimensional floats"):
        check_sound(np.zeros((2, 5), dtype=np.float32), RATE, TEXT, Quality())


def test_the_fake_codec_gives_sound_without_problems() -> None:
    codes = np.ones((20, 7), dtype=np.uint16)
    for seed in range(7):
        assert kinds(FakeCodec().decode(codes, seed)) == []


@given(st.floats(0.05, 2.5), st.floats(0, 2), st.floats(0, 2))
def test_neither_loudness_nor_silence_around_it_makes_good_speech_bad(gain: float, before: float, after: float) -> None:
    wave = SPEECH * np.float32(gain * 0.9 / (2.5 * float(np.abs(SPEECH).max())))
    assert kinds(np.concatenate((hush(before), wave, hush(after)))) == []


@given(st.integers(0, 3000), st.integers(0, 2**32), st.sampled_from([0.0, 0.5, 1.0]))
def test_no_wave_is_too_odd(samples: int, seed: int, size: float) -> None:
    wave = np.random.default_rng(seed).uniform(-size, size, samples).astype(np.float32)
    found = check_sound(wave, RATE, "", Quality())
    assert len({problem.kind for problem in found}) == len(found)
