"""The demo book's takes, joined, mastered, encoded and checked: judged by pyloudnorm and by ffmpeg."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
import yaml
from numpy.typing import NDArray

from maya_batch.audio.ffmpeg import file_url, read_blocks
from maya_batch.audio.stitch import Clip, segments
from maya_batch.audio.waveform_cache import noise_seed
from maya_batch.book.chunk import Chunk
from maya_batch.book.plan import make_plan
from maya_batch.manifest import Master, Render
from tests.audio.test_mastering import by_ffmpeg
from tests.e2e.test_demo_books import STEMS, copied
from tests.e2e.test_planted_faults import png
from tests.support.demo import Rendered, maya

if TYPE_CHECKING:
    from maya_batch.audio.snac_codec import Codec

RATE = 24000
ENCODED: list[dict[str, object]] = [
    {"type": "wav"},
    {"type": "mp3", "bitrate": "64k"},
    {"type": "m4a", "bitrate": "64k"},
    {"type": "opus"},
]
FOR_STORES: list[dict[str, object]] = [
    {"type": "mp3", "bitrate": "192k"},
    {"type": "m4a", "bitrate": "192k"},
    {"type": "flac", "sample_rate": 44100},
]

pytestmark = pytest.mark.slow


def changed(demo: Rendered, folder: Path, **keys: object) -> Rendered:
    """A copy of the rendered demo book with other keys in its manifest."""
    book = copied(demo, folder)
    data = yaml.safe_load(book.manifest.read_text(encoding="utf-8")) | keys
    book.manifest.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return book


def assembled(book: Rendered) -> Rendered:
    done = maya("assemble", book.manifest, "--output", book.folder)
    assert done.returncode == 0, done.stderr
    return book


def clips(book: Rendered, number: int, codec: "Codec") -> Iterator[tuple[Chunk, Clip]]:
    for chunk, take in book.takes():
        if chunk.chapter == number:
            wave = codec.decode(np.asarray(take.codes), noise_seed(take.key, take.attempt))
            yield chunk, Clip(np.asarray(wave), chunk.pause, chunk.voice, str(chunk.index))


def pieces(book: Rendered, number: int, codec: "Codec") -> list[tuple[NDArray[np.float64], Clip | None]]:
    """The sound of a chapter as it is joined: clips, and the silences around them."""
    pauses = make_plan(book.manifest, Render(), output=book.folder).pauses
    joined = segments(
        (clip for _, clip in clips(book, number, codec)), start=pauses.chapter_start, end=pauses.chapter_end
    )
    return [(np.frombuffer(pcm, "<i2") / 32768, clip) for pcm, clip in joined]


@pytest.mark.parametrize(
    "master",
    [
        {"preset": "podcast", "room_tone": True, "even_chunks": True},
        pytest.param(None, marks=pytest.mark.soak),  # gains and room tone only add to what may go wrong
    ],
)
def test_no_join_has_a_step_like_those_inside_speech(
    master: dict[str, object] | None, demo: Rendered, codec: "Codec", tmp_path: Path
) -> None:
    book = assembled(changed(demo, tmp_path, master=master, output={"formats": ["wav"]}))
    for number, stem in enumerate(STEMS, start=1):
        sound, _ = soundfile.read(book.folder / f"{stem}.wav")
        steps, at, joins, inside = np.abs(np.diff(sound)), 0, [], 0.0
        for wave, clip in pieces(book, number, codec):
            joins += [at, at + len(wave)] if clip is not None else []
            if clip is not None:
                inside = max(inside, float(steps[at + RATE // 50 : at + len(wave) - RATE // 50].max()))
            at += len(wave)
        assert at == len(sound)
        worst = max(float(steps[join - 3 : join + 2].max()) for join in joins)
        print(f"\n{stem}, master {master}: step at a join {worst:.5f}, inside clips {inside:.5f}")
        assert len(joins) > 10
        assert worst < inside / 10


def test_the_report_has_the_loudness_of_each_clip_and_its_step(demo: Rendered, codec: "Codec", tmp_path: Path) -> None:
    import pyloudnorm

    book = assembled(changed(demo, tmp_path, pauses={"chapter_end": 2.5}, output={"formats": ["wav"]}))
    report = json.loads((book.folder / "report.json").read_text(encoding="utf-8"))
    told = {chunk["ref"]: chunk for chunk in report["chunks"]}
    compared = 0
    for number in (1, 2):
        spoken = [wave for wave, clip in pieces(book, number, codec) if clip is not None]
        before: dict[str, float | None] = {}
        for (chunk, _), wave in zip(clips(book, number, codec), spoken, strict=True):
            level, step = told[chunk.ref]["loudness_lufs"], told[chunk.ref]["step_lu"]
            last = before.get(chunk.voice)
            if level is None:
                assert len(wave) < 0.5 * RATE
            else:
                meter = pyloudnorm.Meter(RATE, filter_class="DeMan")
                assert level == pytest.approx(meter.integrated_loudness(wave), abs=0.3)
            if last is None or level is None:
                assert step is None
            else:
                assert step == pytest.approx(level - last, abs=0.11)
                compared += 1
            before[chunk.voice] = level
    assert compared > 5


def loudness(path: Path) -> tuple[float, float]:
    """LUFS by pyloudnorm, and dB of the root mean square."""
    import pyloudnorm

    raw = b"".join(read_blocks(["-i", file_url(path), "-ar", "48000", "-f", "f32le", "pipe:1"], 1 << 20))
    sound = np.frombuffer(raw, "<f4").astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        level = pyloudnorm.Meter(48000).integrated_loudness(sound)
    return float(level), float(10 * np.log10(np.mean(np.square(sound))))


@pytest.mark.parametrize(
    ("preset", "formats"),
    [
        ("podcast", ENCODED),
        ("store", FOR_STORES),
        # Each format and each preset is in one of those above.
        pytest.param("podcast", FOR_STORES, marks=pytest.mark.soak),
        pytest.param("store", ENCODED, marks=pytest.mark.soak),
    ],
    ids=["podcast-usual", "store-stores", "podcast-stores", "store-usual"],
)
def test_each_preset_has_its_level_and_true_peak_after_encoding(
    preset: str, formats: list[dict[str, object]], demo: Rendered, tmp_path: Path
) -> None:
    book = assembled(changed(demo, tmp_path, master=preset, output={"formats": formats}))
    wanted = Master.model_validate(preset)
    for stem in STEMS:
        for format_ in formats:
            path = book.folder / f"{stem}.{format_['type']}"
            level, peak = by_ffmpeg(path)
            by_pyloudnorm, rms = loudness(path)
            print(f"\n{preset} {path.name}: {level:.1f}, {by_pyloudnorm:.2f} LUFS, {rms:.2f} dB RMS, {peak:.1f} dBTP")
            assert peak <= wanted.true_peak + 0.2, path.name
            if wanted.lufs is not None:
                assert level == pytest.approx(wanted.lufs, abs=0.3), path.name
                assert by_pyloudnorm == pytest.approx(wanted.lufs, abs=0.3), path.name
            else:
                assert rms == pytest.approx(wanted.rms, abs=0.3), path.name
                assert level == pytest.approx(by_pyloudnorm, abs=0.3), path.name


def test_check_passes_on_the_demo_book_with_credits_and_a_sample(demo: Rendered, tmp_path: Path) -> None:
    (tmp_path / "cover.png").write_bytes(png(3000, 3000))
    book = changed(
        demo,
        tmp_path,
        master="store",
        narrator="A synthesized voice",
        cover="cover.png",
        credits=True,
        sample={"chapter": 2, "minutes": 3},
        output={"formats": [{"type": "mp3", "bitrate": "192k"}]},
    )
    done = maya("render", book.manifest, "--output", book.folder, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0] == f"2 of {len(demo.takes()) + 2} chunks to render"
    checked = maya("check", book.manifest, "--output", book.folder, "--store", "acx-form")
    assert (checked.returncode, "FAIL" in checked.stdout) == (0, False), checked.stdout
    assert len(checked.stdout.splitlines()) > 4
    assert "humans only" in checked.stdout
    page = (book.folder / "report.html").read_text(encoding="utf-8")
    assert "Requirements of acx-form" in page
