"""`check` finds nothing in a book of `master: store`, and names each fault that is planted in its files or manifest."""

import hashlib
import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from maya_batch.audio.chapter_file import read_comment
from maya_batch.audio.ffmpeg import file_url, read_blocks
from maya_batch.audio.file_sound import FileSound, file_sound
from maya_batch.audio.metadata import TrackTags, write_id3
from maya_batch.errors import EXIT_PROBLEMS, EXIT_WHOLE
from maya_batch.run.loading import Loaders
from tests.book.test_store_check import RATE, mp3
from tests.conftest import Said
from tests.support.fakes import FakeEngine, TinyBook
from tests.support.speech_codec import SpeechCodec

Cli = Callable[..., Said]
Wave = NDArray[np.float64]

WORDS = " ".join(["the night was dark and the river was high"] * 4) + "."
BOOK: dict[str, object] = {
    "author": "A. Writer",
    "narrator": "A synthesized voice",
    "isbn": "978-3-16-148410-0",
    "cover": "cover.png",
    "credits": True,
    "sample": {"chapter": 1, "minutes": 2},
    "master": {"preset": "store", "room_tone": True},
    "pauses": {},
    "output": {"formats": [{"type": "mp3", "bitrate": "192k"}]},
}


@dataclass(frozen=True)
class Planted:
    """The book whose files are changed, and the command."""

    tiny: TinyBook
    cli: Cli

    @property
    def file(self) -> Path:
        return self.tiny.output / "02-two.mp3"

    def sound(self, change: Callable[[Wave], Wave], *encoding: str, channels: int = 1, rate: int = 44100) -> None:
        """Put other sound into a chapter's file, with the comment that says that it is current."""
        comment = read_comment(self.file)
        raw = b"".join(read_blocks(["-i", file_url(self.file), "-ar", str(RATE), "-f", "f32le", "pipe:1"], 1 << 20))
        self.file.unlink()
        mp3(self.file, change(np.frombuffer(raw, "<f4").astype(np.float64)), *encoding, channels=channels, rate=rate)
        write_id3(self.file, TrackTags("Two", "Tiny", "A. Writer", 1, 1, comment or ""))

    def book(self, **changes: object) -> None:
        """Change the manifest; None removes a key."""
        data = yaml.safe_load(self.tiny.path.read_text(encoding="utf-8")) | changes
        kept = {key: value for key, value in data.items() if value is not None}
        self.tiny.path.write_text(yaml.safe_dump(kept, sort_keys=False), encoding="utf-8")

    def assembled(self, **changes: object) -> None:
        """Change the manifest, and write what follows from it."""
        self.book(**changes)
        assert self.cli("assemble", self.tiny.path).code in (EXIT_WHOLE, EXIT_PROBLEMS)  # the takes have long pauses

    def cover(self, width: int, height: int, kind: int = 2) -> None:
        (self.tiny.folder / "cover.png").write_bytes(png(width, height, kind))


def png(width: int, height: int, kind: int = 2) -> bytes:
    """The beginning of a PNG; `kind` 2 is RGB, 0 is grey."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBB", 13, b"IHDR", width, height, 8, kind)


def louder(decibels: float) -> Callable[[Wave], Wave]:
    return lambda wave: wave * 10 ** (decibels / 20)


def edges(head: float, tail: float) -> Callable[[Wave], Wave]:
    """Other silences at the ends, in seconds."""

    def change(wave: Wave) -> Wave:
        inside = wave[int(0.75 * RATE) : -3 * RATE]
        return np.concatenate((np.zeros(int(head * RATE)), inside, np.zeros(int(tail * RATE))))

    return change


def click(wave: Wave) -> Wave:
    changed = wave.copy()
    changed[5 * RATE : 5 * RATE + 12] = np.hanning(12) * 0.95
    return changed


def hiss(wave: Wave) -> Wave:
    return wave + np.random.default_rng(1).standard_normal(len(wave)) * 10 ** (-50 / 20)


def hiss_in_the_tail(wave: Wave) -> Wave:
    changed = wave.copy()
    changed[-2 * RATE :] += np.random.default_rng(1).standard_normal(2 * RATE) * 10 ** (-48 / 20)
    return changed


FAULTS: dict[str, tuple[str, str, Callable[[Planted], None]]] = {
    "too soft": ("acx-form", "RMS", lambda at: at.sound(louder(-5))),
    "too loud": ("acx-form", "RMS", lambda at: at.sound(louder(3))),
    "a click": ("acx-form", "true peak", lambda at: at.sound(click)),
    "hiss": ("acx-form", "noise floor", lambda at: at.sound(hiss)),
    "hiss in the tail": ("inaudio", "noise floor", lambda at: at.sound(hiss_in_the_tail)),
    "no head": ("acx-form", "head", lambda at: at.sound(edges(0.1, 3))),
    "a long head": ("acx-form", "head", lambda at: at.sound(edges(2, 3))),
    "no tail": ("acx-form", "tail", lambda at: at.sound(edges(0.75, 0.3))),
    "a long tail": ("acx-form", "tail", lambda at: at.sound(edges(0.75, 7))),
    "a small bitrate": ("acx-form", "bitrate", lambda at: at.sound(louder(0), "-b:a", "128k")),
    "a smaller bitrate": ("google", "bitrate", lambda at: at.sound(louder(0), "-b:a", "64k")),
    "a variable bitrate": ("acx-form", "bitrate mode", lambda at: at.sound(louder(0), "-q:a", "0")),
    "48 kHz": ("acx-form", "sample rate", lambda at: at.sound(louder(0), "-b:a", "192k", rate=48000)),
    "a stereo file": ("spotify", "channels", lambda at: at.sound(louder(0), channels=2)),
    "a missing file": ("acx-form", "file", lambda at: at.file.unlink()),
    "a changed title": ("acx-form", "file", lambda at: at.book(title="Another")),
    "WAV files": ("acx-form", "format", lambda at: at.assembled(output={"formats": ["wav"]})),
    "no cover": ("acx-form", "cover", lambda at: at.book(cover=None)),
    "a cover that is not square": ("spotify", "cover", lambda at: at.cover(3000, 3200)),
    "a small cover": ("acx-form", "cover", lambda at: at.cover(2000, 2000)),
    "a grey cover": ("acx-form", "cover", lambda at: at.cover(3000, 3000, 0)),
    "no credits": ("acx-form", "credits", lambda at: at.book(credits=None)),
    "no closing credits": ("inaudio", "credits", lambda at: at.book(credits={"opening": "{title}"})),
    "no sample": ("acx-form", "sample", lambda at: at.book(sample=None)),
    "a short sample": ("acx-form", "sample", lambda at: at.assembled(sample={"minutes": 0.3})),
    "a sample that is out of date": ("acx-form", "sample", lambda at: at.book(author="Another")),
    "no ISBN": ("google", "ISBN", lambda at: at.book(isbn=None)),
    "a narrator with a name": ("spotify", "narrator", lambda at: at.book(narrator="Maya")),
    "a short book": ("google", "book length", lambda at: None),
}


@pytest.fixture
def measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files with equal contents are measured once, which saves most of the time."""
    known: dict[bytes, FileSound] = {}

    def measure(path: Path) -> FileSound:
        content = hashlib.sha256(path.read_bytes()).digest()
        if content not in known:
            known[content] = file_sound(path)
        return known[content]

    monkeypatch.setattr("maya_batch.run.check_book.file_sound", measure)


@pytest.mark.slow
@pytest.mark.usefixtures("measured_once")
def test_the_preset_passes_and_each_planted_fault_is_named(
    tiny: TinyBook, fake_engine: FakeEngine, loaders: Loaders, cli: Cli, tmp_path_factory: pytest.TempPathFactory
) -> None:
    loaders.codec = lambda *_: SpeechCodec()
    (tiny.folder / "cover.png").write_bytes(png(3000, 3000))
    tiny.write({"One": [WORDS] * 6, "Two": [WORDS]}, **BOOK)
    cli("render", tiny.path)
    for store in ("acx-form", "inaudio", "spotify"):
        said = cli("check", tiny.path, "--store", store)
        assert (said.code, "FAIL" in said.out) == (EXIT_WHOLE, False), said.out
    whole = tmp_path_factory.mktemp("whole") / "book"
    shutil.copytree(tiny.folder, whole)
    unnamed = []
    for fault, (store, requirement, plant) in FAULTS.items():
        shutil.rmtree(tiny.folder)
        shutil.copytree(whole, tiny.folder)
        plant(Planted(tiny, cli))
        said = cli("check", tiny.path, "--store", store, "--json")
        failed = {row["what"]: row["mend"] for row in json.loads(said.out)["rows"] if not row["passed"]}
        if said.code != EXIT_PROBLEMS or not failed.get(requirement):
            unnamed.append((fault, said.code, failed))
    assert unnamed == []
    assert len(FAULTS) >= 20
