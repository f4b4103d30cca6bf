"""Whatever happens to a run, nothing is lost: it ends with its documented exit code, and the next one completes the
very book that an undisturbed run makes.
"""

import os
import random
import re
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from maya_batch.wording import model_failed
from tests.e2e.test_cli import Cli
from tests.support.fakes import FakeEngine, TinyBook, write_codec, write_model
from tests.support.forked_run import Night, start

TEXT = {
    "One": ["The night was dark.", "The river was high.", "The road was long.", "A dog ran."],
    "Two": ["The rain was gone.", "The wind was strong.", "The day was new.", "A cat sat.", "It slept."],
    "Three": ["The end came.", "All went home.", "The light was out."],
}
CHUNKS = sum(map(len, TEXT.values()))


def audio(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.wav")}


def takes(folder: Path) -> int:
    return len(list(folder.rglob("*.npz")))


def left_over(folder: Path) -> list[Path]:
    """What is neither a chapter nor a take, a report or one of the book's own files."""
    return [path for path in folder.rglob("*") if ".part" in path.name or ".aside" in path.name]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The chapters of the book as a run makes them that nothing happens to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_model(folder / "lm")
    write_codec(folder / "codec")
    book = TinyBook(folder)
    assert start(book.write(TEXT)).end() == 0
    assert sorted(audio(book.output)) == ["01-one.wav", "02-two.wav", "03-three.wav"]
    assert takes(book.output) == CHUNKS
    return audio(book.output)


def completes(book: TinyBook, undisturbed: dict[str, bytes], folder: Path | None = None) -> None:
    """The same command, without anything in its way, makes the same book; no chunk has two takes."""
    folder = folder or book.output
    run = start(book.path, "--output", folder)
    assert run.end() == 0, run.said()
    assert audio(folder) == undisturbed
    assert takes(folder) == CHUNKS
    assert left_over(folder) == []


def one_line(run: Night) -> str:
    """The last line, which says what went wrong."""
    return run.said().splitlines()[-1]


# --- processes that die ------------------------------------------------------------------------------------------


@dataclass
class Killed:
    """What was killed, and when."""

    stored: list[int] = field(default_factory=list)
    """Takes in the store right after each kill."""
    finished: list[Path] = field(default_factory=list)


@pytest.mark.parametrize("kills", [12, pytest.param(50, marks=pytest.mark.soak)])
def test_killed_at_any_moment(
    kills: int, tiny: TinyBook, undisturbed: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write(TEXT)
    randomly, killed = random.Random(8), Killed()
    slow = {"FAKE_LOAD": 0.05, "FAKE_BATCH": 0.05, "FAKE_CLIP": 0.02}
    began = time.monotonic()
    folder = tiny.folder / "0"
    while len(killed.stored) < kills:
        run = start(tiny.path, "--output", folder, env=slow)
        if run.ended(randomly.uniform(0.1, 0.9)):
            assert run.end() == 0, run.said()
            killed.finished.append(folder)
            folder = tiny.folder / str(len(killed.finished))
            continue
        run.kill()
        killed.stored.append(takes(folder))
    completes(tiny, undisturbed, folder)
    for finished in killed.finished:
        assert audio(finished) == undisturbed
        assert takes(finished) == CHUNKS
        assert left_over(finished) == []
    between = sum(0 < count < CHUNKS for count in killed.stored)
    with capsys.disabled():
        print(f"\n{kills} kills, {between} between the first and the last take; {time.monotonic() - began:.0f} s")
    assert between >= kills // 4


@pytest.mark.parametrize("times", [6, pytest.param(20, marks=pytest.mark.soak)])
def test_two_runs_started_at_the_same_instant(times: int, tiny: TinyBook, undisturbed: dict[str, bytes]) -> None:
    tiny.write(TEXT)
    codes = set()
    for number in range(times):
        folder = tiny.folder / str(number)
        runs = [start(tiny.path, "--output", folder, FAKE_BATCH=0.02) for _ in range(2)]
        ends = sorted(run.end() for run in runs)
        assert ends in ([0, 0], [0, 75]), [run.said() for run in runs]  # both, where the other was over already
        codes.update(ends)
        assert audio(folder) == undisturbed
        assert takes(folder) == CHUNKS
        assert left_over(folder) == []
    assert codes == {0, 75}


# --- engines that fail -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ("memory", "the memory is full ([enforce fail at alloc_cpu.cpp:124] "),
        ("no memory", "the memory is full; use a smaller --batch-size"),
        ("nan", "the model's logits are not finite"),
        ("engine", model_failed("mat1 and mat2 shapes cannot be multiplied")),
    ],
)
def test_an_engine_that_fails(failure: str, message: str, tiny: TinyBook, undisturbed: dict[str, bytes]) -> None:
    tiny.write(TEXT)
    run = start(tiny.path, FAKE_FAIL=failure)
    assert run.end() == 5
    assert one_line(run).startswith(message)
    assert takes(tiny.output) == 2
    completes(tiny, undisturbed)


# --- disks that are full or not to be written --------------------------------------------------------------------


@dataclass
class Disk:
    """A file system of its own, of which a part is taken."""

    folder: Path

    @property
    def output(self) -> Path:
        return self.folder / "book"

    def leave(self, pages: int) -> None:
        """Leave so many pages of 4 KiB free."""
        free = os.statvfs(self.folder).f_bavail
        (self.folder / "others").write_bytes(bytes(4096 * (free - pages)))

    def make_room(self) -> None:
        (self.folder / "others").unlink()

    def remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a file system can only be mounted by root")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_at_every_write(tiny: TinyBook, disk: Disk, undisturbed: dict[str, bytes]) -> None:
    tiny.write(TEXT)
    ends = []
    for pages in range(200):
        subprocess.run(["rm", "-rf", str(disk.output)], check=True)
        disk.leave(pages)
        run = start(tiny.path, "--output", disk.output)
        code = run.end()
        whole = takes(disk.output)
        disk.make_room()
        if code == 0:
            break
        assert code == 5, run.said()
        ends.append(run.said())
        if pages % 10 == 0:
            completes(tiny, undisturbed, disk.output)
            assert whole <= takes(disk.output)
    assert audio(disk.output) == undisturbed
    for name in (".maya/lock: ", "render.log: ", "model.lock: ", "takes: ", "03-three.wav: ", "report.html: "):
        assert any(name in said for said in ends), (name, ends)
    assert all(re.search("disk is full|disk full|No space left", said) for said in ends), ends


def test_a_folder_that_is_read_only(tiny: TinyBook, disk: Disk, undisturbed: dict[str, bytes]) -> None:
    tiny.write(TEXT)
    run = start(tiny.path, "--output", disk.output, FAKE_BATCH=0.2)
    run.wait_for("batch 2")
    run.kill()
    before = takes(disk.output)
    disk.remount("ro")
    run = start(tiny.path, "--output", disk.output)
    assert run.end() == 5
    assert "cannot be written (Read-only file system)" in one_line(run)
    disk.remount("rw")
    assert takes(disk.output) == before >= 2
    completes(tiny, undisturbed, disk.output)


def no_file_over_4000_bytes() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))


def no_file_over_1000_bytes() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


@pytest.mark.parametrize(
    ("limit", "name"),
    [
        (no_file_over_1000_bytes, "takes: a take cannot be stored"),
        (no_file_over_4000_bytes, "01-one.wav: cannot be written"),
    ],
)
def test_a_file_that_the_disk_does_not_take(
    limit: Callable[[], None], name: str, tiny: TinyBook, undisturbed: dict[str, bytes]
) -> None:
    tiny.write(TEXT)
    run = start(tiny.path, prepare=limit)
    assert run.end() == 5
    assert any(name in line for line in run.said().splitlines()), run.said()
    completes(tiny, undisturbed)


def test_a_log_that_cannot_be_written_is_said_and_the_book_is_made(
    tiny: TinyBook, undisturbed: dict[str, bytes]
) -> None:
    tiny.write(TEXT)
    run = start(tiny.path, "--log-file", "/dev/full")
    assert run.end() == 0
    said = [line for line in run.said().splitlines() if "/dev/full" in line]
    assert said == ["/dev/full: cannot be written (No space left on device); messages are lost there"]
    assert audio(tiny.output) == undisturbed


# --- takes that were damaged -------------------------------------------------------------------------------------


def cut(share: float, mark: bytes) -> Callable[[Path], None]:
    """Cut a file off within what begins with `mark`, the last one there is: so far into the rest."""

    def damage(path: Path) -> None:
        whole = path.read_bytes()
        at = whole.rindex(mark)
        path.write_bytes(whole[: at + int(share * (len(whole) - at))])

    return damage


def flip(mark: bytes, offset: int) -> Callable[[Path], None]:
    """Turn a bit over, so many bytes after the first `mark`."""

    def damage(path: Path) -> None:
        whole = bytearray(path.read_bytes())
        whole[whole.index(mark) + offset] ^= 4
        path.write_bytes(whole)

    return damage


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "precious").write_text("precious")


def link_instead(path: Path) -> None:
    aside = path.parents[5] / "aside.npz"
    path.rename(aside)
    path.symlink_to(aside)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut in the local header": lambda path: path.write_bytes(path.read_bytes()[:17]),
    "cut in the array's header": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "cut in the codes": lambda path: path.write_bytes(path.read_bytes()[:400]),
    "cut in the evidence": cut(0.5, b"PK\x03\x04"),
    "cut before the directory": cut(0.0, b"PK\x01\x02"),
    "cut in the directory": cut(0.4, b"PK\x01\x02"),
    "cut at the end": cut(0.9, b"PK\x05\x06"),
    "a bit of the local header": flip(b"PK\x03\x04", 0),
    "a bit of the array's header": flip(b"\x93NUMPY", 12),
    "a bit of the codes": flip(b"\x93NUMPY", 200),
    "a bit of the directory": flip(b"PK\x01\x02", 16),
    "a bit of the end": flip(b"PK\x05\x06", 16),
    "a folder": folder_instead,
    "a link": link_instead,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_take_that_was_damaged_is_spoken_again(
    damage: str, cli: Cli, tiny: TinyBook, fake_engine: FakeEngine, undisturbed: dict[str, bytes]
) -> None:
    tiny.write(TEXT)
    assert cli("render", tiny.path, "--batch-size", 2).code == 0
    assert audio(tiny.output) == undisturbed
    path = sorted(tiny.output.rglob("*.npz"))[3]
    before = path.read_bytes()
    DAMAGES[damage](path)
    fake_engine.batches.clear()
    said = cli("render", tiny.path, "--batch-size", 2)
    assert said.code == 0
    assert len(fake_engine.texts) == 1
    assert said.err.count(f"{path}: damaged take (") == 1
    assert path.is_file()
    assert not path.is_symlink()
    assert len(path.read_bytes()) == pytest.approx(len(before), abs=8)  # the seconds it took are in it
    assert audio(tiny.output) == undisturbed
    if damage == "a folder":
        assert [kept.read_text() for kept in tiny.output.rglob("precious")] == ["precious"]
    if damage == "a link":
        assert (tiny.folder / "aside.npz").read_bytes() == before


# --- others who use the files, and the clock ---------------------------------------------------------------------


def test_a_chapter_that_somebody_listens_to_while_it_is_made_anew(
    cli: Cli, tiny: TinyBook, fake_engine: FakeEngine
) -> None:
    tiny.write(TEXT)
    assert cli("render", tiny.path).code == 0
    before = audio(tiny.output)
    with (tiny.output / "01-one.wav").open("rb") as transcriber:
        heard = transcriber.read(100)
        tiny.write(TEXT | {"One": ["The night was bright.", *TEXT["One"][1:]]})
        assert cli("render", tiny.path).code == 0
        assert heard + transcriber.read() == before["01-one.wav"]
    assert audio(tiny.output)["01-one.wav"] != before["01-one.wav"]
    assert audio(tiny.output)["02-two.wav"] == before["02-two.wav"]


@pytest.mark.parametrize("deadline", [("--max-minutes", "60"), ()])
def test_a_clock_that_is_set_back_during_a_run(
    deadline: tuple[str, ...],
    cli: Cli,
    tiny: TinyBook,
    fake_engine: FakeEngine,
    undisturbed: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny.write(TEXT)
    clock = time.time

    def set_back(count: int) -> None:
        monkeypatch.setattr("time.time", lambda: clock() - 86_400 * (count + 1))

    fake_engine.before_batch = set_back
    assert cli("render", tiny.path, *deadline).code == 0
    assert audio(tiny.output) == undisturbed
