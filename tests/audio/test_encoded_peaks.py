"""Peaks of encoded files, and chapters that are encoded again because theirs were too high."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from maya_batch.audio.chapter_file import complete_chapter
from maya_batch.audio.encoded_peaks import EncodedPeaks, TooHighError
from maya_batch.audio.mastering import ChapterMaster
from maya_batch.audio.stitch import segments
from maya_batch.audio.writers import Target
from maya_batch.book.settings import Machine
from maya_batch.checkpoint.token_layout import Codes
from maya_batch.files.atomic_write import part_of
from maya_batch.manifest import Master
from maya_batch.run.render import assemble_book, render_book
from tests.audio.test_mastering import RATE, TAGS, by_ffmpeg, dialogue, voice
from tests.support.fakes import Events, FakeEngine, TinyBook

#: Its limiter takes away more than 6 dB from the peaks of this speech.
HARSH = {"lufs": -21, "true_peak": -6}
FORMATS = [
    {"type": "m4a", "bitrate": "48k", "sample_rate": 44100},
    {"type": "mp3", "bitrate": "64k"},
    {"type": "opus"},
    {"type": "wav"},
]


class Speaker:
    """A codec of nothing but one sentence."""

    def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
        return voice(4.0, 0.2)


@pytest.fixture(scope="module")
def harsh() -> bytes:
    master = ChapterMaster(Master.model_validate(HARSH), RATE, 1, io.BytesIO())
    master.read(segments(dialogue(), start=0.5, end=1.5))
    return b"".join(master.pcm())


@pytest.mark.parametrize("kind", ["m4a", "mp3", "opus"])
def test_a_peak_that_is_too_high_is_refused_but_on_the_last_try(harsh: bytes, kind: str, tmp_path: Path) -> None:
    target = Target(tmp_path / f"a.{kind}", kind, "32k", as_loud=True)
    with pytest.raises(TooHighError), complete_chapter([harsh], [target], TAGS, RATE):
        EncodedPeaks(-6, RATE, lambda: None, last=False).inspect(target, part_of(target.path))
    assert list(tmp_path.iterdir()) == []
    peaks = EncodedPeaks(-6, RATE, lambda: None, last=True)
    with complete_chapter([harsh], [target], TAGS, RATE):
        peaks.inspect(target, part_of(target.path))
    assert peaks.over == pytest.approx(by_ffmpeg(target.path)[1] + 6, abs=0.1)


def test_a_lossless_file_is_not_measured(harsh: bytes, tmp_path: Path) -> None:
    peaks = EncodedPeaks(-40, RATE, lambda: None, last=False)
    targets = [Target(tmp_path / f"a.{kind}", kind) for kind in ("wav", "flac")]
    with complete_chapter([harsh], targets, TAGS, RATE):
        for target in targets:
            peaks.inspect(target, part_of(target.path))
    assert peaks.over == 0


def test_a_harsh_limiter_keeps_its_promise_in_each_format(tiny: TinyBook, fake_engine: FakeEngine) -> None:
    tiny.loaders.codec = lambda *_: Speaker()
    tiny.write({"One": ["The night was dark."] * 6}, output={"formats": FORMATS}, master=HARSH)
    files = render_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders).files
    assert [path.suffix for path in files] == [".m4a", ".mp3", ".opus", ".wav"]
    levels = {path.suffix: by_ffmpeg(path) for path in files}
    assert [level for level, _ in levels.values()] == pytest.approx([-21] * 4, abs=0.3)
    assert max(peak for _, peak in levels.values()) <= -6 + 0.2
    assert levels[".wav"][1] < -7.5  # with the room that is known in advance, it would be -6.85


@pytest.mark.parametrize("lost", ["m4a", "mp3", "opus", "wav"])
def test_a_file_that_was_lost_is_written_as_it_was(lost: str, tiny: TinyBook, fake_engine: FakeEngine) -> None:
    """Its level leaves room for the peaks of all formats, also of those that are there."""
    tiny.loaders.codec = lambda *_: Speaker()
    tiny.write({"One": ["The night was dark."] * 6}, output={"formats": FORMATS}, master=HARSH)
    files = render_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders).files
    before = {path: path.read_bytes() for path in files}
    sound = (tiny.output / ".maya" / "sound.json").read_bytes()
    next(path for path in files if path.suffix == f".{lost}").unlink()
    assemble_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders)
    assert {path: path.read_bytes() for path in files} == before
    assert (tiny.output / ".maya" / "sound.json").read_bytes() == sound
