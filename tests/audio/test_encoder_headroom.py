"""What mastering leaves to encoders, and what LAME takes away from the level."""

import io

import numpy as np
import pytest

from maya_batch.audio.chapter_file import write_chapter
from maya_batch.audio.encoder_headroom import headroom
from maya_batch.audio.ffmpeg import file_url, read_blocks
from maya_batch.audio.mastering import ChapterMaster
from maya_batch.audio.stitch import segments
from maya_batch.audio.true_peak import true_peak
from maya_batch.audio.writers import Target
from maya_batch.manifest import Format
from tests.audio.test_mastering import RATE, STORE, TAGS, dialogue, rms, samples


def of(type_: str, bitrate: str | None = None, rate: int | None = None) -> Format:
    return Format.model_validate({"type": type_, "bitrate": bitrate, "sample_rate": rate})


def test_lossless_formats_and_high_bitrates_need_no_room() -> None:
    assert headroom([of("wav"), of("flac"), of("opus"), of("mp3", "192k"), of("m4b", "192k")], RATE) == 0


def test_the_format_with_the_fewest_bits_counts() -> None:
    usual, few = headroom([of("m4b", "64k")], RATE), headroom([of("m4a", "48k", 44100)], RATE)
    assert 0 < usual < few
    assert headroom([of("wav"), of("m4a", "48k", 44100), of("m4b", "64k")], RATE) == few


@pytest.mark.parametrize("room", [0.0, 0.6])
def test_the_limiter_stays_below_the_peak_by_the_room(room: float) -> None:
    master = ChapterMaster(STORE, RATE, 1, io.BytesIO())
    master.read(segments(dialogue(), start=0.5, end=1.5))
    pcm = b"".join(master.pcm(room))
    peak = 20 * np.log10(true_peak(samples(pcm).astype(np.float32), RATE))
    assert peak == pytest.approx(STORE.true_peak - room - 0.15, abs=0.05)
    assert rms(samples(pcm)) == pytest.approx(-20, abs=0.1)


@pytest.mark.parametrize(("bitrate", "rate"), [("64k", None), ("192k", 44100), ("256k", 48000)])
@pytest.mark.parametrize("mode", ["cbr", "vbr"])
def test_an_mp3_is_as_loud_as_its_sound(
    bitrate: str, rate: int | None, mode: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sine = (0.9 * 32767 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE) / RATE)).astype("<i2")
    path = tmp_path_factory.mktemp("mp3") / "a.mp3"
    levels = []
    for as_loud in (True, False):
        write_chapter([sine.tobytes()], [Target(path, "mp3", bitrate, rate, mode, as_loud=as_loud)], TAGS, RATE)
        raw = b"".join(read_blocks(["-i", file_url(path), "-f", "f32le", "pipe:1"], 1 << 20))
        sound = np.frombuffer(raw, "<f4")
        levels.append(rms(sound[len(sound) // 4 : -len(sound) // 4]) - rms(sine / 32768))
    assert levels[0] == pytest.approx(0, abs=0.02)
    assert levels[1] == pytest.approx({"64k": -0.446, "192k": -0.265, "256k": 0}[bitrate], abs=0.03)
