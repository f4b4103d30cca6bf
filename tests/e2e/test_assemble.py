"""`assemble` writes chapters on all cores: the same bytes as one by one, no model, and nothing half-written after
an error, a signal, a kill or a full disk.
"""

import json
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from maya_batch.audio.chapter_file import read_comment
from maya_batch.book.settings import Machine
from maya_batch.checkpoint.token_layout import Codes
from maya_batch.errors import MachineError
from maya_batch.interrupt import Interruption, Stop
from maya_batch.run import all_chapters
from maya_batch.run.render import assemble_book, render_book
from maya_batch.run.result import RunResult
from tests.audio.test_m4b import png
from tests.e2e.test_faults import Disk, audio, disk, left_over, one_line  # noqa: F401
from tests.support.fakes import Events, FakeCodec, FakeEngine, TinyBook
from tests.support.forked_run import Night, launch

NAMES = ("One", "Two", "Three", "Four", "Five", "Six")
TEXT = {name: [f"The {word} was {name.lower()}." for word in ("night", "rain", "road")] for name in NAMES}
ALL_FORMATS = {"formats": ["wav", "mp3", "flac", "opus", "m4a", "m4b"]}
FILES = {"formats": ["m4b", "mp3"]}
LOUD = {"lufs": -24, "true_peak": -2, "room_tone": True}


def render(tiny: TinyBook) -> RunResult:
    return render_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders)


def assemble(tiny: TinyBook, events: Events | None = None, **more: Any) -> RunResult:
    return assemble_book(tiny.plan(), Machine(), events or Events(), loaders=tiny.loaders, **more)


def files(folder: Path) -> dict[str, bytes]:
    """The audio files and streams below a folder."""
    kinds = {".wav", ".mp3", ".flac", ".opus", ".m4a", ".m4b", ".aac"}
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.suffix in kinds}


@pytest.fixture
def on_cores(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda count: monkeypatch.setattr(all_chapters, "cores", lambda: count)


@pytest.mark.parametrize("master", ["none", LOUD])
def test_on_four_cores_the_files_are_those_of_one(
    master: object, tiny: TinyBook, fake_engine: FakeEngine, on_cores: Callable[[int], None]
) -> None:
    tiny.write(TEXT)
    render(tiny)
    written = []
    for cores in (1, 4):
        on_cores(cores)
        for name in files(tiny.output):
            (tiny.output / name).unlink()
        tiny.write(TEXT, output=ALL_FORMATS, master=master)
        assemble(tiny)
        written.append(files(tiny.output))
    assert len(written[0]) == 6 * len(TEXT) + 1
    assert written[0] == written[1]


def test_progress_counts_the_chunks_and_files_come_in_reading_order(
    tiny: TinyBook, fake_engine: FakeEngine, on_cores: Callable[[int], None]
) -> None:
    on_cores(3)
    tiny.write(TEXT)
    render(tiny)
    tiny.write(TEXT, output={"formats": ["flac"]})
    events = Events()
    result = assemble(tiny, events)
    assert (events.joins, events.joined_chunks) == (18, 18)
    assert events.named("published") == [path.name for path in result.files]
    assert [name[:2] for name in events.named("published")] == ["01", "02", "03", "04", "05", "06"]


CHANGES: dict[str, dict[str, object]] = {
    "master": {"master": LOUD},
    "formats": {"output": {"formats": ["m4b", {"type": "mp3", "bitrate": "32k"}, "flac"]}},
    "sample rate": {"output": {"formats": ["m4b", {"type": "mp3", "sample_rate": 44100}]}},
    "pauses": {"pauses": {"paragraph": 1.2, "chapter_end": 0.5}},
    "tags": {"author": "Zoë", "narrator": "A voice", "description": "A tale.", "date": "1895"},
    "cover": {"cover": "cover.png"},
    "layout": {"output": {"formats": ["m4b"], "layout": "audiobookshelf"}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_how_the_book_is_written_renders_no_chunk(
    change: str, tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    (tiny.folder / "cover.png").write_bytes(png(8))
    tiny.write(TEXT, output=FILES)
    render(tiny)
    asked = len(fake_engine.requests)
    assert asked == 18
    before = files(tiny.output)
    tiny.write(TEXT, **({"output": FILES} | CHANGES[change]))
    assert assemble(tiny).files
    assert render(tiny).files == []
    assert len(fake_engine.requests) == asked
    assert files(tiny.output) != before


def test_other_tags_decode_and_encode_nothing(
    tiny: TinyBook, fake_engine: FakeEngine, fake_codec: FakeCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tiny.folder / "cover.png").write_bytes(png(8))
    tags = {"author": "Zoë", "narrator": "A voice", "publisher": "A House", "cover": "cover.png", "master": LOUD}
    tiny.write(TEXT, output=ALL_FORMATS, **tags)
    render(tiny)
    written, report = files(tiny.output), json.loads((tiny.output / "report.json").read_text(encoding="utf-8"))
    tiny.write(TEXT, output=ALL_FORMATS, master=LOUD, author="Another")
    render(tiny)
    decoded, streams = fake_codec.decoded, {name for name in written if name.endswith(".aac")}
    before = {name: (tiny.output / name).stat().st_mtime_ns for name in streams}
    tiny.write(TEXT, output=ALL_FORMATS, **tags)
    events = Events()
    with monkeypatch.context() as patched:
        patched.setattr("maya_batch.run.chapter_job.complete_chapter", None)
        assert len(assemble(tiny, events).files) == 5 * len(TEXT) + 1
    assert len(events.named("published")) == 5 * len(TEXT) + 1
    assert fake_codec.decoded == decoded
    assert files(tiny.output) == written
    assert {name: (tiny.output / name).stat().st_mtime_ns for name in streams} == before
    again = json.loads((tiny.output / "report.json").read_text(encoding="utf-8"))
    assert again["chapters"] == report["chapters"]
    assert [chunk["loudness_lufs"] for chunk in again["chunks"]] == [c["loudness_lufs"] for c in report["chunks"]]
    assert assemble(tiny).files == []


class FailingCodec(FakeCodec):
    """Fails at its `fail_at`-th clip."""

    def __init__(self, fail_at: int) -> None:
        super().__init__()
        self.fail_at = fail_at

    def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
        if self.decoded == self.fail_at:
            raise MachineError("the codec failed")
        return super().decode(codes, seed)


@pytest.mark.parametrize("fail_at", [0, 1, 7, 17])
@pytest.mark.parametrize("master", ["none", LOUD])
def test_an_error_in_one_chapter_ends_all_of_them(
    fail_at: int, master: object, tiny: TinyBook, fake_engine: FakeEngine, on_cores: Callable[[int], None]
) -> None:
    on_cores(3)
    tiny.write(TEXT)
    render(tiny)
    tiny.write(TEXT, output=FILES, master=master)
    whole, working = tiny.loaders.codec, threading.active_count()
    tiny.loaders.codec = lambda *_: FailingCodec(fail_at)
    with pytest.raises(MachineError, match="the codec failed"):
        assemble(tiny)
    assert threading.active_count() == working
    assert left_over(tiny.output) == []
    comments = {read_comment(tiny.output / name) for name in files(tiny.output)}
    assert None not in comments
    streams = {read_comment(path) for path in (tiny.output / ".maya").glob("m4b/*.aac")}
    assert streams <= json.loads((tiny.output / ".maya" / "sound.json").read_text(encoding="utf-8")).keys()
    assert "Tiny.m4b" not in files(tiny.output)
    tiny.loaders.codec = whole
    assemble(tiny)
    assert len(files(tiny.output)) == 6 + 6 + 6 + 1  # with the WAV files of before


def test_a_stop_leaves_whole_files_and_the_same_command_goes_on(
    tiny: TinyBook, fake_engine: FakeEngine, on_cores: Callable[[int], None]
) -> None:
    on_cores(2)
    tiny.write(TEXT)
    render(tiny)
    tiny.write(TEXT, output=FILES, master=LOUD)
    stop, events = Stop(), Events()
    events.published = lambda path, seconds: stop.request()  # type: ignore[method-assign]
    with pytest.raises(Interruption):
        assemble(tiny, events, stop=stop)
    assert left_over(tiny.output) == []
    written = [name for name in files(tiny.output) if name.endswith(".mp3")]
    assert 1 <= len(written) < len(TEXT)
    assert len(assemble(tiny).files) == len(TEXT) - len(written) + 1


# --- in a process of its own ---------------------------------------------------------------------------------------


def start(tiny: TinyBook, *flags: object, **env: object) -> Night:
    return launch(tiny.folder, "assemble", tiny.path, *flags, env=env)


@pytest.fixture
def rendered(tiny: TinyBook) -> dict[str, bytes]:
    """A rendered book that lacks its M4B and MP3 files; these, as an undisturbed run makes them."""
    tiny.write(TEXT)
    assert launch(tiny.folder, "render", tiny.path).end() == 0
    tiny.write(TEXT, output=FILES, master="podcast")
    assert launch(tiny.folder, "assemble", tiny.path).end() == 0
    whole = {name: content for name, content in files(tiny.output).items() if not name.endswith(".wav")}
    assert len(whole) == 13
    remove(tiny, whole)
    return whole


def remove(tiny: TinyBook, names: dict[str, bytes]) -> None:
    for name in names:
        (tiny.output / name).unlink(missing_ok=True)


def test_killed_at_ten_moments_the_same_command_goes_on_to_the_same_bytes(
    tiny: TinyBook, rendered: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    randomly, done = random.Random(21), list[int]()
    while len(done) < 10:
        run = start(tiny, FAKE_CLIP=0.03)
        run.wait_for("clip")
        if run.ended(randomly.uniform(0.0, 1.5)):
            assert run.end() == 0, run.said()
            remove(tiny, rendered)
            continue
        run.kill()
        written = {name: content for name, content in files(tiny.output).items() if not name.endswith(".wav")}
        done.append(len(written))
        assert written == {name: rendered[name] for name in written}
        waiting = [name for name in rendered if name not in written and not name.endswith((".wav", ".m4b"))]
        if len(done) % 3 == 0 or not waiting:
            remove(tiny, rendered)
    run = start(tiny)
    assert run.end() == 0, run.said()
    assert {name: content for name, content in files(tiny.output).items() if name in rendered} == rendered
    assert left_over(tiny.output) == []
    with capsys.disabled():
        print(f"\nfiles after each of ten kills: {done}")


def test_sigterm_ends_it_with_4_and_no_half_file(tiny: TinyBook, rendered: dict[str, bytes]) -> None:
    import signal

    run = start(tiny, FAKE_CLIP=0.5)
    run.wait_for("clip")
    run.tell(signal.SIGTERM)
    assert run.end() == 4
    assert left_over(tiny.output) == []
    run = start(tiny)
    assert run.end() == 0, run.said()
    assert {name: content for name, content in files(tiny.output).items() if name in rendered} == rendered


def test_a_disk_that_is_full_at_any_stage(tiny: TinyBook, disk: Disk) -> None:  # noqa: F811
    tiny.write(TEXT)
    assert launch(tiny.folder, "render", tiny.path, "--output", disk.output).end() == 0
    tiny.write(TEXT, output={"formats": ["m4b", "mp3"]}, master="podcast")
    assert start(tiny, "--output", disk.output).end() == 0
    whole = files(disk.output)
    new = [name for name in whole if not name.endswith(".wav")]
    said = set()
    book = [name for name in new if name.endswith(".m4b")]
    # The PCM that waits for its mastering takes more room than the M4B, for which the second disks are.
    disks = [*((new, pages) for pages in (0, 2, 8, 16, 32, 64, 128)), (book, 0), (book, 1), (book, 9)]
    for lacking, pages in disks:
        for name in lacking:
            (disk.output / name).unlink(missing_ok=True)
        disk.leave(pages)
        run = start(tiny, "--output", disk.output)
        code = run.end()
        disk.make_room()
        now = files(disk.output)
        assert now == {name: whole[name] for name in now}
        assert left_over(disk.output) == []
        if code == 0:
            assert now == whole
            continue
        assert code == 5, run.said()
        assert "full" in one_line(run) or "No space" in one_line(run), run.said()
        said.add(one_line(run).split(":")[0].rpartition("/")[2])
    assert start(tiny, "--output", disk.output).end() == 0
    assert files(disk.output) == whole
    kinds = {name.rpartition(".")[2] for name in said}
    assert kinds >= {"maya", "m4b"}, said
    assert kinds & {"aac", "mp3"}, said
