"""Links, pipes and devices among the program's own files, drives that lack something, damage to what is read back."""

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maya_batch.files.safe_open import make_folders, safe_folder, safe_open, safe_read
from tests.conftest import Said
from tests.support.fakes import FakeCodec, FakeEngine, TinyBook

Cli = Callable[..., Said]

TEXT = {"One": ["The night was dark.", "The river was high."], "Two": ["The rain was gone."]}
COMMANDS = [("render",), ("status",), ("plan",), ("assemble",), ("redo", "1:1", "--keep", "1"), ("clean", "--yes")]
OURS = ["choices.yaml", "model.lock", "chapters.json", "render.log", "book.yaml", "unclaimed.json", "lock"]


@pytest.fixture
def rendered(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> TinyBook:
    tiny.write(TEXT)
    assert cli("render", tiny.path).code == 0
    return tiny


def hidden(tiny: TinyBook) -> Path:
    return tiny.output / ".maya"


def instead(path: Path, make: Callable[[Path], object]) -> None:
    """Put something else in a path's place; what was there lies beside it as `.before`."""
    if os.path.lexists(path):
        path.rename(path.with_name(f"{path.name}.before"))
    make(path)


def restored(path: Path) -> None:
    """Put back what was there before `instead`."""
    if os.path.lexists(path):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    if (before := path.with_name(f"{path.name}.before")).exists():
        before.rename(path)


def one_clear_line(said: Said) -> None:
    assert said.code in (0, 2, 4, 5), said
    assert "Traceback" not in said.err
    if said.code in (2, 5):
        assert len([line for line in said.err.splitlines() if "/" in line]) == 1, said.err


# --- one way to open them --------------------------------------------------------------------------------------------


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    assert safe_read(tmp_path / "x", 5) == b"12345"
    with pytest.raises(OSError, match="is larger than 4 bytes"):
        safe_read(tmp_path / "x", 4)
    with pytest.raises(FileNotFoundError):
        safe_read(tmp_path / "y", 4)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (os.mkfifo, "is not a regular file"),
        (Path.mkdir, "is not a regular file|is a folder"),
        (lambda path: path.symlink_to("/etc/hostname"), "is a link"),
        (lambda path: path.symlink_to("nowhere"), "is a link"),
        (lambda path: os.mknod(path, 0o20600, os.makedev(1, 5)), "is not a regular file"),  # /dev/zero
    ],
    ids=["pipe", "folder", "link", "dangling link", "device"],
)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY | os.O_APPEND | os.O_CREAT])
def test_what_is_no_regular_file_is_not_opened(
    flags: int, make: Callable[[Path], object], what: str, tmp_path: Path
) -> None:
    try:
        make(tmp_path / "x")
    except PermissionError:
        pytest.skip("only root makes devices")
    with pytest.raises(OSError, match=what):
        safe_open(tmp_path / "x", flags)


def test_folders_are_made_on_the_disk_and_no_link_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("maya_batch.files.safe_open.sync_folder", synced.append)
    assert safe_folder(tmp_path / "a" / "b", "c", "d") == tmp_path / "a" / "b" / "c" / "d"
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"]
    safe_folder(tmp_path / "a" / "b", "c", "d")
    assert len(synced) == 4  # they are there
    (tmp_path / "a" / "link").symlink_to(tmp_path)
    with pytest.raises(OSError, match="is a link"):
        safe_folder(tmp_path / "a", "link", "x")
    make_folders(tmp_path / "a" / "link" / "y")  # above a root, a person may have links
    assert (tmp_path / "y").is_dir()


# --- links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [".", ".maya", ".maya/takes", ".maya/m4b", ".maya/epub"])
def test_nothing_is_followed_out_of_the_output_folder(place: str, rendered: TinyBook, cli: Cli) -> None:
    path = (rendered.output / place).absolute()
    path = path.parent if place == "." and path.name == "." else path
    path.mkdir(exist_ok=True)
    elsewhere = rendered.folder / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    for command in COMMANDS:
        said = cli(command[0], rendered.path, *command[1:])
        (line,) = said.err.splitlines()
        assert said.code == 2
        assert f"{path} is a link" in line
    assert sorted(elsewhere.rglob("*")) == before


@pytest.mark.parametrize("named", ["--output", "output.folder"])
def test_a_link_for_the_whole_output_folder_is_followed_where_it_is_named(
    named: str, rendered: TinyBook, cli: Cli, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("drive") / "audio"
    rendered.output.rename(elsewhere)
    rendered.output.symlink_to(elsewhere)
    flags = ("--output", rendered.output) if named == "--output" else ()
    if named == "output.folder":
        rendered.write(TEXT, output={"folder": "book"})
    for command in COMMANDS:
        said = cli(command[0], rendered.path, *command[1:], *flags)
        assert said.code == 0, said
    assert "nothing to do" in cli("render", rendered.path, *flags).err


def test_a_folder_in_a_folder_that_is_a_link_is_still_no_way_out(rendered: TinyBook, cli: Cli, tmp_path: Path) -> None:
    (rendered.folder / "up").symlink_to(tmp_path.parent)
    rendered.write(TEXT, output={"folder": "up/x"})
    assert "leads out of the manifest's folder through a symbolic link" in cli("plan", rendered.path).err
    assert cli("render", rendered.path).code == 2


def test_audio_behind_a_link_is_not_the_books_and_clean_removes_nothing_there(rendered: TinyBook, cli: Cli) -> None:
    rendered.write(TEXT, output={"layout": "audiobookshelf"}, author="Ann Other")
    elsewhere = rendered.folder / "elsewhere"
    (elsewhere / "Tiny").mkdir(parents=True)
    chapter = next(rendered.output.glob("01-*.wav"))
    chapter.rename(elsewhere / "Tiny" / "77-of-another-book.wav")
    (elsewhere / "Tiny" / ".01-one.wav.part").touch()
    (rendered.output / "Ann Other").symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    said = cli("clean", rendered.path, "--yes")
    assert said.code == 0, said.err
    assert "77-of" not in said.out + said.err
    assert sorted(elsewhere.rglob("*")) == before


@pytest.mark.parametrize("level", ["key", "prefix"])
def test_takes_behind_a_link_are_missing_and_clean_removes_nothing_there(
    level: str, rendered: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    take = sorted(rendered.output.rglob("*.npz"))[0]
    path = take.parent if level == "key" else take.parent.parent
    elsewhere = rendered.folder / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    said = cli("render", rendered.path)
    assert said.code == 5
    assert "it counts as missing" in said.err
    assert f"{path}: a take cannot be stored (is a link)" in said.err
    rendered.write({"One": ["All is new."]})
    assert cli("clean", rendered.path, "--yes").code == 0
    assert sorted(elsewhere.rglob("*")) == before


def test_a_link_in_the_place_of_our_file_is_not_followed(rendered: TinyBook, cli: Cli) -> None:
    mine = rendered.folder / "mine"
    mine.write_text("mine")
    for name in OURS:
        path = hidden(rendered) / name
        instead(path, lambda path: path.symlink_to(mine))
        for command in COMMANDS:
            one_clear_line(cli(command[0], rendered.path, *command[1:]))
            assert mine.read_text() == "mine"
        restored(path)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["pipe", "folder"])
@pytest.mark.timeout(60)
def test_a_pipe_or_folder_in_the_place_of_our_file_is_not_waited_for(
    make: Callable[[Path], object], rendered: TinyBook, cli: Cli
) -> None:
    for name in OURS:
        path = hidden(rendered) / name
        instead(path, make)
        rendered.write(TEXT | {"Three": [f"It was late for {name}."]})
        for command in COMMANDS:
            one_clear_line(cli(command[0], rendered.path, *command[1:]))
        restored(path)


def test_a_device_in_the_place_of_our_file_does_not_fill_the_memory(rendered: TinyBook, cli: Cli) -> None:
    for name in OURS:
        path = hidden(rendered) / name
        try:
            instead(path, lambda path: os.mknod(path, 0o20600, os.makedev(1, 5)))
        except PermissionError:
            pytest.skip("only root makes devices")
        one_clear_line(cli("render", rendered.path))
        restored(path)


# --- what is read back -----------------------------------------------------------------------------------------------

DAMAGE = {
    "choices.yaml": [
        ".inf",
        "{K: .inf}",
        "{K: .nan}",
        "{K: true}",
        "{K: 0}",
        "{K: 1.5}",
        "{K: 2024-01-01}",
        "!!set {K}",
    ],
    "model.lock": ["version: 1\nmodel: {demo: {identity: 2024-01-01, files: {}}}\ncodec: {}"],
    "chapters.json": ['{"x": [' + "9" * 400 + ", 1]}", '{"x": [NaN, 1]}', '{"x": [-1, 1]}', '{"x": 5}', "[]"],
    "unclaimed.json": ['{"takes": [[]], "files": []}', "{}", "[]", '{"takes": 5, "files": 5}'],
}
DEEP = ["[" * 1100, '{"a":' * 1100]


@pytest.mark.parametrize("name", [*DAMAGE, "book.yaml"])
def test_damage_to_our_files_is_one_line_and_no_take_is_lost(name: str, rendered: TinyBook, cli: Cli) -> None:
    takes = sorted(rendered.output.rglob("*.npz"))
    path = hidden(rendered) / name
    for content in (*DAMAGE.get(name, ()), *DEEP):
        instead(path, partial(Path.write_text, data=content.replace("K", takes[0].parent.name)))
        for command in ("render", "status"):
            one_clear_line(cli(command, rendered.path))
        assert sorted(rendered.output.rglob("*.npz")) == takes
        restored(path)


def test_what_a_person_wrote_into_choices_stays_there(rendered: TinyBook, cli: Cli) -> None:
    one, two = (path.parent.name for path in sorted(rendered.output.rglob("*.npz"))[:2])
    path = hidden(rendered) / "choices.yaml"
    path.write_text(f"# my notes\n{{ {one}: 1, {two}: 1 }}\n")
    before = path.read_text()
    for ref in ("1:1", "1:2", "2:1"):
        cli("redo", rendered.path, ref, "--keep", "auto")
    assert path.read_text() == before
    path.write_text(f"# my notes\n{one}: 1  # the best laugh\n{two}: 1\n")
    for ref in ("1:1", "1:2", "2:1"):
        assert cli("redo", rendered.path, ref, "--keep", "auto").code == 0
    assert "# my notes" in path.read_text()


def test_a_take_that_was_not_whole_lies_aside_once_it_was_rendered_again(rendered: TinyBook, cli: Cli) -> None:
    take = sorted(rendered.output.rglob("*.npz"))[0]
    whole = take.read_bytes()
    take.write_bytes(whole[:-5])
    assert cli("render", rendered.path).code == 0
    (aside,) = take.parent.glob("1.npz.aside-*")
    assert aside.read_bytes() == whole[:-5]
    assert str(aside) in cli("clean", rendered.path, "--yes").out


def test_a_take_that_may_not_be_read_ends_the_run_and_is_not_made_again(
    rendered: TinyBook, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = sorted(rendered.output.rglob("*.npz"))[0]

    def denied(path: Path, limit: int) -> bytes:
        if Path(path) == take:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return safe_read(path, limit)

    monkeypatch.setattr("maya_batch.book.take.safe_read", denied)
    before = take.read_bytes()
    for command in ("render", "status", "assemble"):
        said = cli(command, rendered.path)
        assert said.code == 5
        assert f"{take}: cannot be read (Permission denied)" in said.err
    assert take.read_bytes() == before


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_a_problem_and_silence_in_the_chapter(
    wrong: float,
    tiny: TinyBook,
    fake_engine: FakeEngine,
    fake_codec: FakeCodec,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decode = FakeCodec.decode

    def broken(codec: FakeCodec, codes: Any, seed: int) -> Any:
        wave = decode(codec, codes, seed)
        wave[1000:1100] = wrong
        return wave

    monkeypatch.setattr(FakeCodec, "decode", broken)
    tiny.write(TEXT)
    said = cli("render", tiny.path)
    assert said.code == 3
    assert "broken: 100 non-finite samples" in said.err
    assert sorted(path.name for path in tiny.output.glob("*.wav")) == ["01-one.wav", "02-two.wav"]
    tiny.write(TEXT, pauses={"sentence": 0.5, "paragraph": 0.5})
    for command in ("render", "assemble", "status", "redo"):
        said = cli(command, tiny.path, *(("1:1",) if command == "redo" else ()))
        assert said.code in (0, 3), said
        assert "Traceback" not in said.err


# --- drives ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_a_drive_without_locks_is_told_once_and_the_book_renders(
    code: int, tiny: TinyBook, fake_engine: FakeEngine, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", flock)
    tiny.write(TEXT)
    said = cli("render", tiny.path)
    assert said.code == 0
    assert said.err.count("this drive has no locks") == 1
    assert cli("clean", tiny.path, "--yes").code == 0


def test_a_drive_that_cannot_sync_folders_takes_a_book(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def files_only(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", files_only)
    tiny.write(TEXT)
    assert cli("render", tiny.path).code == 0
    assert len(list(tiny.output.rglob("*.npz"))) == 3
