"""The demo books, rendered by real processes, heard and looked at."""

import re
import shutil
import subprocess
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mutagen.id3
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from maya_batch.audio.snac_codec import load_codec
from maya_batch.audio.waveform_cache import noise_seed
from maya_batch.book.plan import Plan, make_plan
from maya_batch.manifest import Render
from maya_batch.text.emotion_tags import TAG
from maya_batch.wording import NOT_TRANSCRIBED, NOTHING_TO_DO
from tests.support.asr import transcribe, word_error, words
from tests.support.demo import (
    CODEC,
    Rendered,
    environment,
    interpreter,
    maya,
    render_once,
    without_module,
)

if TYPE_CHECKING:
    from maya_batch.audio.snac_codec import Codec
    from maya_batch.engine.hf_engine import HfEngine

STEMS = ["01-the-ferry", "02-the-house-on-the-hill"]
PARTS = ["01-part-1", "02-part-2"]
TITLES = ["The Ferry", "The House on the Hill"]
#: Runs append to the log and hold the lock; all else stays as it is where there is nothing to do.
TOUCHED = {
    "lock",
    "render.log",
    "report.json",
    "report.html",
    "listen.html",
    "chapters.json",
    "sound.json",
    "book.yaml",
}


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """When each file was changed, and its inode: a file that was replaced has another one."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in TOUCHED)
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}


def copied(book: Rendered, folder: Path, old: str = "", new: str = "") -> Rendered:
    """A rendered book somewhere else, with one change in its manifest."""
    text = book.manifest.read_text(encoding="utf-8")
    assert text.count(old) == 1 or not old
    manifest = folder / book.manifest.name
    manifest.write_text(text.replace(old, new) if old else text + new, encoding="utf-8")
    shutil.copytree(book.folder, folder / "out")
    return Rendered(manifest, folder / "out", "")


def samples(path: Path) -> int:
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24000, 1, 2)
        return file.getnframes()


def heard(book: Rendered) -> tuple[list[str], list[str]]:
    """The words of a book's text, and those that are heard in its WAV files."""
    plan = make_plan(book.manifest, Render())
    reference = [word for chunk in plan.chunks() for word in words(chunk.text)]
    return reference, [word for chapter in plan.chapters for word in transcribe(book.folder / f"{chapter.stem}.wav")]


def test_both_chapters_are_there_in_both_formats(demo: Rendered) -> None:
    names = [path.name for path in demo.files()]
    assert names == [f"{stem}.{ending}" for stem in STEMS for ending in ("mp3", "wav")]
    plan = make_plan(demo.manifest, Render())
    for chapter in plan.chapters:
        seconds = samples(demo.folder / f"{chapter.stem}.wav") / 24000
        assert 0.75 < seconds / plan.seconds(chapter) < 1.25
        with soundfile.SoundFile(demo.folder / f"{chapter.stem}.mp3") as mp3:
            assert mp3.samplerate == 24000
            assert abs(mp3.frames / mp3.samplerate - seconds) < 0.1


@pytest.mark.parametrize("number", [1, 2])
def test_the_tags_say_what_it_is(demo: Rendered, number: int) -> None:
    expected = (TITLES[number - 1], "The Lamp on the Water", "The maya-batch contributors")
    with soundfile.SoundFile(demo.folder / f"{STEMS[number - 1]}.wav") as wav:
        assert (wav.title, wav.album, wav.artist) == expected
        assert wav.tracknumber == f"{number}/2"
        assert wav.comment.startswith("maya-batch ")
    tags: Any = mutagen.id3.ID3(demo.folder / f"{STEMS[number - 1]}.mp3")
    assert tuple(str(tags[name]) for name in ("TIT2", "TALB", "TPE1")) == expected
    assert str(tags["TRCK"]) == f"{number}/2"


@pytest.mark.parametrize("stem", STEMS)
def test_the_loudness_is_that_of_speech(demo: Rendered, stem: str) -> None:
    for ending in ("wav", "mp3"):
        sound, _ = soundfile.read(demo.folder / f"{stem}.{ending}")
        peak = 20 * np.log10(np.abs(sound).max())
        blocks = sound[: len(sound) // 1200 * 1200].reshape(-1, 1200)
        levels = 10 * np.log10((blocks**2).mean(axis=1) + 1e-12)
        loud = levels[levels > -50]
        print(f"\n{stem}.{ending}: peak {peak:.1f} dBFS, median of speech {np.median(loud):.1f} dBFS")
        assert -12 < peak < 0
        assert -35 < np.median(loud) < -12
        assert 0.4 < len(loud) / len(levels) < 0.98  # speech, with pauses in between
        assert np.abs(sound[: 24000 // 5]).max() < 0.01  # the chapter's own silence at its start
        assert abs(float(sound.mean())) < 0.01


def test_the_words_of_the_book_are_heard(demo: Rendered) -> None:
    reference, found = heard(demo)
    error = word_error(reference, found)
    print(f"\nword error of the demo book: {error:.1%} of {len(reference)} words")
    assert len(reference) > 200
    assert error <= 0.18


@pytest.mark.soak
def test_the_mp3_says_the_same(demo: Rendered) -> None:
    stem = STEMS[0]
    assert word_error(transcribe(demo.folder / f"{stem}.wav"), transcribe(demo.folder / f"{stem}.mp3")) <= 0.15


@pytest.mark.soak  # in CI, test_gguf_books hears tagged texts
def test_neither_tags_nor_descriptions_are_read_aloud(emotions: Rendered) -> None:
    text = emotions.manifest.read_text(encoding="utf-8")
    plan = make_plan(emotions.manifest, Render())
    names = {word for tag in TAG.findall(text) for word in tag.strip("</>").split("_")}
    assert len(names) >= 6
    described = {word for chunk in plan.chunks() for word in words(chunk.description)} | {"description"}
    reference, found = heard(emotions)
    error = word_error(reference, found)
    print(f"\nword error of the emotions: {error:.1%} of {len(reference)} words")
    assert error <= 0.25
    # Words of the text may be among them; so may the shortest, which whisper hears anywhere.
    silent = {word for word in names | described if len(word) > 3} - set(reference)
    assert len(silent) > 20
    assert silent.isdisjoint(found)


def test_the_log_holds_no_word_of_a_library(demo: Rendered) -> None:
    said = r"\d+ of \d+ chunks|.*\.(wav|mp3)  \d+:\d\d|\d+ chunks rendered, .* real time|[\d.]+ s: loading .*"
    said += rf"|report: .*\.html|.*, so {NOT_TRANSCRIBED}; .*"
    for line in demo.stderr.splitlines():
        assert re.fullmatch(said, line) or re.match(r"\d+ of \d+ chunks", line), line
    logged = [line for line in demo.log() if not re.fullmatch(said, line)]
    assert all(re.match(r"[\d-]+ [\d:]+ INFO ", line) for line in logged)


def test_a_second_run_loads_nothing_and_touches_nothing(demo: Rendered, tmp_path: Path) -> None:
    before = stamps(demo.folder)
    assert len(before) == 4 + 1 + len(demo.takes())
    env = without_module(tmp_path, "torch", "transformers", "snac", "bitsandbytes")
    done = interpreter("render", demo.manifest, "--output", demo.folder, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"{NOTHING_TO_DO}\n"
    assert stamps(demo.folder) == before


def pauses(plan: Plan, number: int) -> int:
    """All the silence asked for in a chapter, in samples."""
    chapter = plan.chapters[number]
    asked = [plan.pauses.chapter_start, plan.pauses.chapter_end, *(chunk.pause for chunk in chapter.chunks)]
    return sum(round(pause * 24000) for pause in asked)


def test_other_pauses_need_no_language_model(short: Rendered, tmp_path: Path) -> None:
    new = '"pauses": {"sentence": 0.9, "paragraph": 1.6, "chapter_start": 1.5, "chapter_end": 4}, "output": '
    book = copied(short, tmp_path, '"output": ', new)
    before = stamps(book.folder)
    (tmp_path / "without").mkdir()
    env = without_module(tmp_path / "without", "transformers", "tokenizers", "bitsandbytes", "accelerate")
    done = interpreter("assemble", book.manifest, "--output", book.folder, env=env)
    assert done.returncode == 0, done.stderr
    after = stamps(book.folder)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {f"{stem}.{ending}" for stem in PARTS for ending in ("wav", "mp3")}
    old, other = make_plan(short.manifest, Render()), make_plan(book.manifest, Render())
    for number, stem in enumerate(PARTS):
        longer = samples(book.folder / f"{stem}.wav") - samples(short.folder / f"{stem}.wav")
        assert longer == pauses(other, number) - pauses(old, number)
        assert longer > 24000


def test_a_changed_word_is_rendered_anew_and_nothing_else(short: Rendered, tmp_path: Path) -> None:
    book = copied(short, tmp_path, "Who goes there?", "Who comes there?")
    before = stamps(book.folder)
    done = render_once(book.manifest, book.folder)
    assert done.stderr.splitlines()[0] == f"1 of {len(short.takes())} chunks to render"
    after = stamps(book.folder)
    changed = {name for name in after if after[name] != before.get(name)}
    [take] = changed - {f"{PARTS[0]}.wav", f"{PARTS[0]}.mp3"}
    assert take.startswith(".maya/takes/")
    assert set(before) < set(after)
    pairs = list(zip(short.takes(), done.takes(), strict=True))
    edited = [new for (_, old_take), (new, new_take) in pairs if old_take.key != new_take.key]
    [chunk] = edited
    assert chunk.text == "Who comes there? <sigh>"
    assert all(np.array_equal(old.codes, new.codes) for (_, old), (_, new) in pairs if old.key == new.key)
    found = transcribe(book.folder / f"{PARTS[0]}.wav")
    assert "comes" in found
    assert "comes" not in transcribe(short.folder / f"{PARTS[0]}.wav")


@pytest.mark.soak  # test_contract shows it of each sequence
def test_rendered_twice_is_the_same_to_the_byte(short: Rendered, tmp_path: Path) -> None:
    """A new interpreter has its own hash seed, and a smaller batch other neighbours."""
    one, other = short, render_once(short.manifest, tmp_path / "other", "--batch-size", 3, run=interpreter)
    assert [path.name for path in one.files()] == [path.name for path in other.files()]
    assert len(one.files()) == 4
    for path, twin in zip(one.files(), other.files(), strict=True):
        assert path.read_bytes() == twin.read_bytes(), path.name
    for (_, take), (_, twin_take) in zip(one.takes(), other.takes(), strict=True):
        assert np.array_equal(take.codes, twin_take.codes)


def test_say(tmp_path: Path) -> None:
    text = "The night was dark."

    def say(ending: str) -> "subprocess.CompletedProcess[str]":
        return maya("say", text, "-o", f"x.{ending}", "--model", "demo", cwd=tmp_path)

    endings = ["mp3", "wav"]
    with ThreadPoolExecutor(2) as pool:
        for ending, done in zip(endings, pool.map(say, endings), strict=True):
            assert done.returncode == 0, done.stderr
            assert re.fullmatch(rf"x\.{ending}  \d\.\d s\n", done.stderr)
            assert word_error(words(text), transcribe(tmp_path / f"x.{ending}")) <= 0.34
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.mp3", "x.wav"]


def test_say_refuses_a_broken_description_before_anything_is_loaded(tmp_path: Path) -> None:
    env = without_module(tmp_path, "torch")
    done = interpreter("say", "Yes.", "-o", tmp_path / "x.wav", "--model", "demo", "--description", 'a "man"', env=env)
    assert done.returncode == 2
    assert done.stderr.startswith("--description contains ")


def test_clips_do_not_hear_each_other(short: Rendered, codec: "Codec", engine: "HfEngine") -> None:
    """Samples depend on a clip's codes and seed alone: not on the clips before it, nor on who loaded the codec."""
    takes = [take for _, take in short.takes()]

    def decode(using: "Codec", order: list[int]) -> dict[int, bytes]:
        return {at: using.decode(np.asarray(takes[at].codes), noise_seed(takes[at].key, 1)).tobytes() for at in order}

    forwards = decode(codec, [0, 1, 2, 3, 4])
    assert decode(codec, [3, 1, 0, 2, 4]) == forwards
    again = load_codec(CODEC, engine.layout, engine.device)
    assert decode(again, [4])[4] == forwards[4]
    assert codec.decode(np.asarray(takes[4].codes), 0).tobytes() != forwards[4]  # the noise is there


@pytest.mark.soak  # test_stitch shows it of any clips
def test_chapters_are_their_clips_in_order(demo: Rendered, codec: "Codec") -> None:
    """The middle half of each clip is found in the chapter's file, sample for sample, behind the one before."""
    for number, stem in enumerate(STEMS, start=1):
        sound, _ = soundfile.read(demo.folder / f"{stem}.wav")
        at = 0
        for chunk, take in demo.takes():
            if chunk.chapter != number:
                continue
            clip = codec.decode(np.asarray(take.codes), noise_seed(take.key, take.attempt)).astype(np.float64)
            middle = clip[len(clip) // 4 : 3 * len(clip) // 4]
            at += found(sound[at:], middle)
            assert np.abs(sound[at : at + len(middle)] - middle).max() < 2 / 32768, chunk.ref
            at += len(middle)


def found(sound: NDArray[np.float64], part: NDArray[np.float64]) -> int:
    """Where in `sound` the samples are most like `part`, by normalized correlation."""
    size = 1 << (len(sound) + len(part)).bit_length()
    product = np.fft.rfft(sound, size) * np.fft.rfft(part[::-1], size)
    likeness = np.fft.irfft(product, size)[len(part) - 1 : len(sound)]
    energy = np.concatenate([[0.0], np.cumsum(sound**2)])
    return int((likeness / np.sqrt(energy[len(part) :] - energy[: -len(part)] + 1e-9)).argmax())


def test_no_program_is_found_where_the_books_are_rendered() -> None:
    """What these tests say of ffmpeg holds: it is on the path of none of the processes."""
    assert shutil.which("ffmpeg", path=environment()["PATH"]) is None
    assert shutil.which("sh", path=environment()["PATH"]) is None
