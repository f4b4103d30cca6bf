"""What is measured in a finished file."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from maya_batch.audio.file_sound import SILENT, file_sound
from maya_batch.errors import MachineError

RATE = 44100


def tone(seconds: float, level: float = 0.2) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return level * np.sin(2 * np.pi * 440 * np.arange(round(seconds * RATE)) / RATE)


def test_a_tone_between_silences_is_measured(tmp_path: Path) -> None:
    wave = np.concatenate((np.zeros(RATE // 2), tone(2), np.zeros(RATE), tone(2), np.zeros(2 * RATE)))
    soundfile.write(tmp_path / "a.wav", wave, RATE, subtype="FLOAT")
    found = file_sound(tmp_path / "a.wav")
    assert (found.head, found.tail, found.seconds) == pytest.approx((0.5, 2.0, 7.5), abs=0.011)
    assert found.rms == pytest.approx(20 * np.log10(0.2) - 3.01 + 10 * np.log10(4 / 7.5), abs=0.01)
    assert found.true_peak == pytest.approx(20 * np.log10(0.2), abs=0.2)
    assert found.noise_floor == SILENT
    assert (found.sampling_rate, found.channels, found.constant) == (RATE, 1, True)


def test_the_noise_of_pauses_counts_and_not_that_of_speech(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).standard_normal(7 * RATE) * 0.001
    wave = np.concatenate((tone(2), np.zeros(RATE), tone(2), np.zeros(2 * RATE))) + noise
    soundfile.write(tmp_path / "a.wav", wave, RATE, subtype="FLOAT")
    assert file_sound(tmp_path / "a.wav").noise_floor == pytest.approx(-60, abs=0.2)


def test_two_channels_are_as_loud_as_each_and_the_louder_peak_counts(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack((tone(2), tone(2)), axis=1), RATE)
    soundfile.write(tmp_path / "b.wav", np.stack((tone(2), 0 * tone(2)), axis=1), RATE)
    both, one = file_sound(tmp_path / "a.wav"), file_sound(tmp_path / "b.wav")
    assert both.rms == pytest.approx(20 * np.log10(0.2) - 3.01, abs=0.01)
    assert one.rms == pytest.approx(both.rms - 3.01, abs=0.01)
    assert one.true_peak == pytest.approx(both.true_peak, abs=0.01)
    assert one.channels == 2


def test_silence_is_measured_as_silence(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE), RATE)
    found = file_sound(tmp_path / "a.wav")
    assert (found.rms, found.true_peak, found.noise_floor) == (SILENT, SILENT, SILENT)
    assert found.head == found.tail == 1


@pytest.mark.parametrize("content", [b"", b"nothing of the kind" * 100])
def test_what_is_no_sound_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(content)
    with pytest.raises(MachineError, match=r"a\.mp3: "):
        file_sound(tmp_path / "a.mp3")
