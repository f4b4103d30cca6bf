"""The jingle: a sound between two chapters."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from maya_batch.audio.resample import resampled
from maya_batch.errors import EXIT_USAGE, EXIT_WHOLE
from maya_batch.run.loading import Loaders
from tests.conftest import Said
from tests.e2e.test_cli import one_line
from tests.support.fakes import FakeEngine, TinyBook
from tests.support.speech_codec import SpeechCodec

TEXT = {"One": ["The night was dark."], "Two": ["The rain was gone."], "Three": ["The end came."]}
RATE, HERTZ = 24000, 3000
Cli = Callable[..., Said]


def tone(path: Path, seconds: float = 0.5, rate: int = 44100, channels: int = 2, level: float = 0.2) -> Path:
    at = np.arange(round(seconds * rate)) / rate
    wave = level * np.sin(2 * np.pi * HERTZ * at)
    soundfile.write(path, np.repeat(wave[:, None], channels, axis=1), rate)
    return path


def sounds(tiny: TinyBook) -> dict[str, np.ndarray]:
    return {path.name: soundfile.read(path)[0] for path in sorted(tiny.output.glob("*.wav"))}


def share(wave: np.ndarray) -> float:
    """How much of a sound is the jingle's tone."""
    power = np.abs(np.fft.rfft(wave)) ** 2
    hertz = np.fft.rfftfreq(len(wave), 1 / RATE)
    return float(power[np.abs(hertz - HERTZ) < 20].sum() / power.sum())


@pytest.mark.parametrize(("rate", "channels", "kind"), [(44100, 2, "wav"), (24000, 1, "flac"), (48000, 2, "ogg")])
def test_it_is_before_each_chapter_but_the_first(
    rate: int, channels: int, kind: str, tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    tiny.write(TEXT, credits={"opening": "{title}", "closing": "The end."})
    assert cli("render", tiny.path).code == EXIT_WHOLE
    plain, asked = sounds(tiny), len(fake_engine.texts)
    tone(tiny.folder / f"chime.{kind}", 0.5, rate, channels)
    tiny.write(TEXT, credits={"opening": "{title}", "closing": "The end."}, jingle=f"chime.{kind}")
    assert cli("render", tiny.path).code == EXIT_WHOLE
    assert len(fake_engine.texts) == asked
    now = sounds(tiny)
    changed = [name for name in plain if len(now[name]) != len(plain[name])]
    assert changed == ["02-two.wav", "03-three.wav"]
    for name in changed:
        longer = (len(now[name]) - len(plain[name])) / RATE
        assert longer == pytest.approx(0.5 + tiny.plan().pauses.after_jingle, abs=0.02)
        assert share(now[name][: RATE // 2]) > 0.95
        assert np.array_equal(now[name][-2000:], plain[name][-2000:])
    tiny.write(TEXT, credits={"opening": "{title}", "closing": "The end."})
    assert cli("render", tiny.path).code == EXIT_WHOLE
    assert all(np.array_equal(wave, plain[name]) for name, wave in sounds(tiny).items())


def test_another_sound_in_its_file_writes_its_chapters_again_and_renders_nothing(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    tone(tiny.folder / "chime.wav")
    tiny.write(TEXT, jingle="chime.wav")
    assert cli("render", tiny.path).code == EXIT_WHOLE
    asked = len(fake_engine.texts)
    tone(tiny.folder / "chime.wav", 0.7)
    said = cli("assemble", tiny.path)
    assert said.code == EXIT_WHOLE
    assert ("01-one.wav" in said.err, "02-two.wav" in said.err, "03-three.wav" in said.err) == (False, True, True)
    assert len(fake_engine.texts) == asked
    assert "02-two.wav" not in cli("assemble", tiny.path).err


def test_mastering_makes_it_as_loud_as_the_voice_and_reports_name_voices_only(
    tiny: TinyBook, fake_engine: FakeEngine, loaders: Loaders, cli: Cli
) -> None:
    loaders.codec = lambda *_: SpeechCodec()
    tone(tiny.folder / "chime.wav", 1.0, level=0.01)
    tiny.write(TEXT, jingle="chime.wav", master={"lufs": -24, "true_peak": -2})
    cli("render", tiny.path)
    wave = sounds(tiny)["02-two.wav"]
    # BS.1770-4: a sine of 997 Hz with an RMS of -24 dB has -24 LUFS; one of 3 kHz is weighted by about 3 dB more.
    assert 20 * np.log10(np.sqrt(np.mean(wave[RATE // 10 : RATE // 2] ** 2))) == pytest.approx(-27, abs=2)
    report = json.loads((tiny.output / "report.json").read_text(encoding="utf-8"))
    assert [set(chapter["voice_gains_db"]) for chapter in report["chapters"]] == [{"anna"}] * 3
    assert all(chunk["loudness_lufs"] is not None for chunk in report["chunks"])


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: path.write_bytes(b"text"), "the jingle 'chime.wav' is not a WAV, FLAC, Ogg or MP3 file; convert"),
        (lambda path: tone(path, 31), "the jingle 'chime.wav' is longer than 30 s; make it shorter"),
        (lambda path: tone(path, 0.05), "the jingle 'chime.wav' has 0.05 s; make it 0.1 s or longer"),
        (lambda path: tone(path, 1, level=0), "the jingle 'chime.wav' is silent"),
        (lambda path: tone(path, 1, channels=3), "the jingle 'chime.wav' has 3 channels at 44100 Hz; convert it to a"),
        (lambda path: path.mkdir(), "the jingle 'chime.wav' is a folder"),
        (lambda path: None, "the jingle 'chime.wav' does not exist"),
    ],
)
def test_what_is_no_jingle_is_one_line(make: Callable[[Path], object], expected: str, tiny: TinyBook, cli: Cli) -> None:
    make(tiny.folder / "chime.wav")
    tiny.write(TEXT, jingle="chime.wav")
    line = tiny.path.read_text(encoding="utf-8").splitlines().index("jingle: chime.wav") + 1
    assert f"book.yaml:{line}:9: {expected}" in one_line(cli("plan", tiny.path), EXIT_USAGE)


def test_a_jingle_outside_the_books_folder_is_refused(tiny: TinyBook, cli: Cli) -> None:
    tiny.write(TEXT, jingle="../chime.wav")
    assert "leads out of the manifest's folder" in one_line(cli("plan", tiny.path), EXIT_USAGE)


def test_a_sound_at_full_scale_is_not_clipped_by_another_rate() -> None:
    square = np.sign(np.sin(2 * np.pi * 997 * np.arange(44100) / 44100)).astype(np.float32)
    made = resampled(square, 44100, 24000)
    assert len(made) == 24000
    assert 0.99 < np.abs(made).max() <= 1
    assert resampled(square, 24000, 24000) is square
