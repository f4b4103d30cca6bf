"""Whose a folder is, and what in it is written over: nothing but this program's own, of the same book."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from maya_batch.audio.chapter_file import write_chapter
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.writers import Target
from tests.conftest import Said
from tests.support.fakes import FakeEngine, TinyBook
from tests.support.forked_run import start

pytestmark = pytest.mark.slow

Cli = Callable[..., Said]

FIRST = {"Preface": ["It is so."], "The End": ["So it was."]}
SECOND = {"Preface": ["No."]}


def manifest(tiny: TinyBook, name: str, text: dict[str, list[str]], **more: object) -> Path:
    """A manifest beside the model, whose output folder is `audio` unless it is said otherwise."""
    tiny.write(text, **{"title": name.title(), "output": {"folder": "audio"}, **more})
    return tiny.path.rename(tiny.folder / name)


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder but logs and locks."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(p.relative_to(folder)): p.read_bytes() for p in found if p.name not in ("render.log", "lock")}


@pytest.fixture
def first(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> Path:
    """A book that was rendered into `audio`."""
    path = manifest(tiny, "first.yaml", FIRST)
    assert cli("render", path).code == 0
    return path


def refused(said: Said, *parts: str) -> None:
    """Exit 2 with one line that has these parts."""
    (line,) = (line for line in said.err.splitlines() if "was begun with text rules" not in line)
    assert said.code == 2, said
    assert all(part in line for part in parts), line


# --- a folder belongs to one book -----------------------------------------------------------------------------------


def test_a_second_book_is_refused_before_anything_is_written(
    first: Path, tiny: TinyBook, cli: Cli, fake_engine: FakeEngine
) -> None:
    second = manifest(tiny, "second.yaml", SECOND)
    before, spoken = tree(tiny.folder), len(fake_engine.texts)
    log = (tiny.folder / "audio" / ".maya" / "render.log").read_bytes()
    for command in (("render",), ("clean", "--yes"), ("assemble",), ("redo", "1:1")):
        said = cli(command[0], second, *command[1:])
        assert said.code == 2
        if command[0] in ("render", "clean"):
            refused(said, "belongs to the book 'First.Yaml' (../first.yaml)", "second.yaml", "--output", "--adopt")
        assert (tree(tiny.folder), len(fake_engine.texts)) == (before, spoken)
        assert (tiny.folder / "audio" / ".maya" / "render.log").read_bytes() == log
    assert "2 of 2 chunks rendered" in cli("plan", first).out


@pytest.mark.parametrize("command", ["plan", "status"])
def test_looking_at_a_second_book_says_whose_the_folder_is(command: str, first: Path, tiny: TinyBook, cli: Cli) -> None:
    second = manifest(tiny, "second.yaml", SECOND)
    said = cli(command, second)
    assert said.code == 2
    assert "belongs to the book" in said.err.splitlines()[-1]


def test_a_book_of_another_ending_has_the_same_folder_and_is_refused(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    tiny.write(FIRST)
    assert cli("render", tiny.path).code == 0
    other = manifest(tiny, "book.yml", SECOND, output={})
    tiny.write(FIRST)
    refused(cli("render", other), "belongs to the book 'Tiny' (../book.yaml)")


def test_two_books_of_one_file_name_in_two_folders_are_told_apart(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    shared = tiny.folder / "shared"
    books = []
    for name, text in (("a", FIRST), ("b", SECOND)):
        shutil.copytree(tiny.folder / "lm", tiny.folder / name / "lm")
        shutil.copytree(tiny.folder / "codec", tiny.folder / name / "codec")
        books.append(TinyBook(tiny.folder / name).write(text, title=f"Book {name}"))
    assert cli("render", books[0], "--output", shared).code == 0
    refused(cli("render", books[1], "--output", shared), "belongs to the book 'Book a' (../a/book.yaml)")
    assert cli("render", books[0], "--output", shared).code == 0


@pytest.mark.parametrize("edit", [{}, {"The End": ["So it is."]}], ids=["as it was", "edited"])
def test_a_book_that_is_renamed_is_known_by_its_takes_and_that_is_told(
    edit: dict[str, list[str]], first: Path, tiny: TinyBook, cli: Cli, fake_engine: FakeEngine
) -> None:
    first.unlink()
    renamed, spoken = manifest(tiny, "renamed.yaml", FIRST | edit), len(fake_engine.texts)
    said = cli("render", renamed)
    assert said.code == 0
    assert "this folder belongs to first.yaml; its takes show that renamed.yaml is the same book" in said.err
    assert len(fake_engine.texts) == spoken + len(edit)
    assert "was first.yaml" not in cli("render", renamed).err


def test_a_manifest_renamed_without_its_folder_is_told_before_all_is_rendered_again(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    first = manifest(tiny, "first.yaml", FIRST, title="A Tale", output={})
    assert cli("render", first).code == 0
    copy = tiny.folder / "copy.yaml"
    shutil.copy(first, copy)
    warning = "has the takes of 'A Tale', which was first.yaml; rename that folder to copy, or name it in output.folder"
    assert warning not in cli("plan", copy).err  # the first one is still there
    first.unlink()
    assert warning in cli("plan", copy).err
    assert warning not in cli("plan", copy, "--output", tiny.folder / "elsewhere").err
    spoken = len(fake_engine.texts)
    (tiny.folder / "first").rename(tiny.folder / "copy")
    said = cli("render", copy)
    assert (said.code, len(fake_engine.texts)) == (0, spoken)
    assert warning not in said.err


def test_a_book_all_of_which_is_edited_is_known_by_its_file_name(
    first: Path, tiny: TinyBook, cli: Cli, fake_engine: FakeEngine
) -> None:
    manifest(tiny, "first.yaml", {"Other": ["All is new."]})
    assert cli("render", first).code == 0


def test_another_book_in_the_manifest_of_the_last_one_is_refused(first: Path, tiny: TinyBook, cli: Cli) -> None:
    before = tree(tiny.folder / "audio")
    manifest(tiny, "first.yaml", {"Preface": ["All is new."]}, title="A new title")
    refused(cli("render", first), "belongs to the book 'First.Yaml'")
    assert tree(tiny.folder / "audio") == before


def test_as_long_as_the_first_manifest_is_there_the_folder_is_that_books(first: Path, tiny: TinyBook, cli: Cli) -> None:
    before = tree(tiny.folder / "audio")
    common, excerpt, copy = (
        {"Preface": ["It is so."], "More": ["Not so.", "Or so."]},
        {"The End": ["So it was."]},
        FIRST | {"Preface": ["It is not so."]},
    )
    for text in (common, excerpt, copy):
        second = manifest(tiny, "second.yaml", text)
        for command in (("render",), ("clean", "--yes"), ("assemble",)):
            refused(cli(command[0], second, *command[1:]), "belongs to the book")
            assert tree(tiny.folder / "audio") == before


@pytest.mark.parametrize("linked", [False, True], ids=["one --output", "a linked folder"])
def test_two_books_of_one_name_and_title_are_told_apart(
    linked: bool, tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    books = []
    for name, text in (("a", FIRST), ("b", SECOND)):
        shutil.copytree(tiny.folder / "lm", tiny.folder / name / "lm")
        shutil.copytree(tiny.folder / "codec", tiny.folder / name / "codec")
        books.append(TinyBook(tiny.folder / name).write(text, output={"folder": "audio"}))
    flags: tuple[object, ...] = () if linked else ("--output", tiny.folder / "shared")
    if linked:
        (tiny.folder / "b" / "audio").symlink_to(tiny.folder / "a" / "audio")
    assert cli("render", books[0], *flags).code == 0
    before = tree(tiny.folder)
    refused(cli("render", books[1], *flags), "belongs to the book 'Tiny'")
    refused(cli("clean", books[1], "--yes", *flags), "belongs to the book 'Tiny'")
    assert tree(tiny.folder) == before


def test_chapters_whose_takes_are_not_there_are_not_written_over(first: Path, tiny: TinyBook, cli: Cli) -> None:
    shelf = tiny.folder / "shelf"
    shelf.mkdir()
    for path in (tiny.folder / "audio").glob("*.wav"):
        shutil.copy(path, shelf)
    before = tree(shelf)
    second = manifest(tiny, "second.yaml", FIRST | {"Preface": ["No."]})
    said = cli("render", second, "--output", shelf)
    assert said.code == 2
    assert "01-preface.wav is a chapter of a book without takes in this folder" in said.err
    assert tree(shelf) == before
    shutil.rmtree(tiny.folder / "audio" / ".maya" / "takes")
    assert cli("render", second).code == 2
    assert cli("render", first).code == 0  # which it belongs to


def test_a_sentence_that_two_books_share_stays_with_the_first_when_the_second_takes_over(
    first: Path, tiny: TinyBook, cli: Cli
) -> None:
    takes = {name for name in tree(tiny.folder / "audio") if name.endswith(".npz")}
    second = manifest(tiny, "second.yaml", {"Preface": ["It is so."], "More": ["Not so."]})
    assert cli("render", second, "--adopt").code == 0
    manifest(tiny, "second.yaml", {"More": ["Not so."]})
    assert cli("render", second).code == 0
    cli("clean", second, "--yes")
    assert takes <= tree(tiny.folder / "audio").keys()


def test_a_folder_is_taken_over_and_the_other_books_takes_stay(
    first: Path, tiny: TinyBook, cli: Cli, fake_engine: FakeEngine
) -> None:
    takes = {name for name in tree(tiny.folder / "audio") if name.endswith(".npz")}
    second = manifest(tiny, "second.yaml", SECOND)
    assert cli("render", second, "--adopt").code == 0
    refused(cli("render", first), "belongs to the book 'Second.Yaml'")
    for others, left in (((), takes), (("--other-book", first), takes), (("--other-book", "none"), set())):
        assert cli("clean", second, "--yes", *others).code == 0
        assert {name for name in tree(tiny.folder / "audio") if name in takes} == left
    assert cli("status", second).out.count("1 of 1 chunk rendered") == 2


def test_a_book_that_was_never_rendered_does_not_keep_others_out(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = manifest(tiny, "first.yaml", FIRST)
    fake_engine.before_batch = lambda count: (_ for _ in ()).throw(MemoryError())  # it ends before it has a take
    assert cli("render", path).code == 5
    fake_engine.before_batch = lambda count: None
    assert cli("render", manifest(tiny, "second.yaml", SECOND)).code == 0


def test_the_file_that_says_whose_a_folder_is(first: Path, tiny: TinyBook, cli: Cli) -> None:
    path = tiny.folder / "audio" / ".maya" / "book.yaml"
    data = yaml.safe_load(path.read_text())
    assert len(data.pop("id")) == 32
    assert data == {
        "version": 1,
        "manifest": "first.yaml",
        "path": "../first.yaml",
        "title": "First.Yaml",
        "text_rules": 2,
        "audio_rules": 2,
        "reports": {},
    }
    for damaged in ("", "[", "version: 2", "[" * 5000, path.read_text().replace("First.Yaml", '"\\e[31m"')):
        path.write_text(damaged)
        said = cli("render", first)
        assert (said.code, len(said.err.splitlines())) == (5, 1), said.err
        assert "book.yaml: not a book.yaml of this version" in said.err


def test_a_lost_file_that_says_whose_a_folder_is_is_made_again_as_the_message_says(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    first = manifest(tiny, "first.yaml", FIRST, lexicon={"so": "sow"})  # which the rules of version 0.1 do not have
    assert cli("render", first).code == 0
    path, before = tiny.folder / "audio" / ".maya" / "book.yaml", tree(tiny.folder / "audio")
    whole = yaml.safe_load(path.read_text())
    path.write_text("")
    command = cli("render", first).err.split("delete it and run `")[1].split("`")[0]
    path.unlink()
    said = cli(*command.split(), first)
    assert said.code == 0, said.err
    rules = ("text_rules", "audio_rules")
    assert {name: yaml.safe_load(path.read_text())[name] for name in rules} == {name: whole[name] for name in rules}
    after = tree(tiny.folder / "audio")
    assert {name for name in after if name.endswith((".wav", ".npz")) and after[name] != before.get(name)} == set()


@pytest.mark.parametrize(
    "title", ["The\u00a0End", "Ⅰ\u3000Ⅱ", "Wor\u00adld", "\U0001f469\u200d\U0001f680", "\u200eא", "\ue000"]
)
def test_a_title_may_have_spaces_and_characters_that_are_not_seen(
    title: str, tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    path = manifest(tiny, "first.yaml", FIRST, title=title)
    for command in ("render", "render", "status", "assemble"):
        said = cli(command, path)
        assert said.code == 0, said.err
    refused(cli("render", manifest(tiny, "second.yaml", SECOND)), "belongs to the book")


@pytest.mark.parametrize(
    "name", ["the\u00a0end.yaml", "the\u3000end.yaml", "two\nlines.yaml", "\u200fא.yaml", "\udcff.yaml"]
)
def test_a_manifest_may_have_any_name(name: str, tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    path = manifest(tiny, name, FIRST, title="Tiny")
    for command in ("render", "render", "status"):
        said = cli(command, path)
        assert said.code == 0, said.err


def test_a_book_of_a_later_version_is_left_to_that(first: Path, tiny: TinyBook, cli: Cli) -> None:
    path = tiny.folder / "audio" / ".maya" / "book.yaml"
    path.write_text(path.read_text().replace("text_rules: 2", "text_rules: 3"))
    said = cli("render", first)
    assert (said.code, said.err.count("\n")) == (5, 1)
    assert "started with a later version of maya-batch" in said.err


def test_newer_rules_apply_to_a_book_only_when_a_person_says_so(
    first: Path, tiny: TinyBook, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {name: content for name, content in tree(tiny.folder / "audio").items() if name.endswith(".wav")}
    for module in ("book_id", "ownership", "state", "plan"):
        monkeypatch.setattr(f"maya_batch.book.{module}.TEXT_RULES", 3)
        monkeypatch.setattr(f"maya_batch.book.{module}.AUDIO_RULES", 3, raising=False)
    assert "nothing to do" in cli("render", first).err
    said = cli("render", first, "--upgrade-text")
    assert said.code == 0
    assert "text rules 3, audio rules 3: 0 of 2 chunks to render" in said.err
    now = {name: content for name, content in tree(tiny.folder / "audio").items() if name.endswith(".wav")}
    assert all(now[name] != files[name] for name in files)  # put together by the new rules
    assert "nothing to do" in cli("render", first).err


# --- folders of version 0.1 ------------------------------------------------------------------------------------------


def make_old(folder: Path) -> None:
    """As 0.1 left a folder."""
    (folder / ".maya" / "book.yaml").unlink()
    report = json.loads((folder / "report.json").read_text())
    del report["generator"]
    (folder / "report.json").write_text(json.dumps(report, indent=1))
    page = folder / "report.html"
    page.write_text(page.read_text().replace('<meta name="generator" content="maya-batch">', ""))


def test_an_old_folder_gets_its_book_at_the_next_run(first: Path, tiny: TinyBook, cli: Cli) -> None:
    make_old(tiny.folder / "audio")
    refused(cli("render", manifest(tiny, "second.yaml", SECOND)), "belongs to another book (first.yaml)")
    assert cli("render", first).code == 0
    refused(cli("render", tiny.folder / "second.yaml"), "belongs to the book 'First.Yaml'")


def test_of_an_old_folder_that_two_books_share_only_what_a_person_confirms_by_book_is_listed(
    first: Path, tiny: TinyBook, cli: Cli, fake_engine: FakeEngine
) -> None:
    audio = tiny.folder / "audio"
    second = manifest(tiny, "second.yaml", {"Other": ["No."]})
    assert cli("render", second, "--adopt").code == 0
    make_old(audio)
    (audio / ".maya" / "unclaimed.json").unlink()
    for begun in (False, True):  # before and after the folder has got its book
        if begun:
            assert cli("render", first).code == 0
        before = tree(audio)
        said = cli("clean", first, "--yes")
        assert (said.code, said.out) == (0, "nothing to remove\n")
        assert "not listed: 2 files (takes, chapters)" in said.err
        assert "--other-book" in said.err
        assert cli("clean", first, "--yes", "--other-book", second).out == "nothing to remove\n"
        assert tree(audio) == before
        assert "left over" not in cli("status", first).out
    assert cli("clean", first, "--yes", "--other-book", "none").code == 0
    assert len(before) - len(tree(audio)) == 2
    manifest(tiny, "first.yaml", FIRST | {"Preface": ["It is not so."]})
    assert cli("render", first).code == 0
    assert "removed" in cli("clean", first, "--yes").out  # what is left over from now on is this book's own


# --- files that are not ours -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["01-preface.wav", "listen.html", "report.html", "report.json"])
def test_a_persons_own_file_is_not_written_over(
    name: str, first: Path, tiny: TinyBook, cli: Cli, fake_engine: FakeEngine
) -> None:
    path = tiny.folder / "audio" / name
    path.write_bytes(b"mine")
    manifest(tiny, "first.yaml", FIRST, pauses={"sentence": 0.5})
    before, spoken = tree(tiny.folder), len(fake_engine.texts)
    for command in (("render",), ("assemble",), ("redo", "1:1")):
        refused(cli(command[0], first, *command[1:]), str(path), "was not written by maya-batch; move it")
        assert (tree(tiny.folder), len(fake_engine.texts)) == (before, spoken)


@pytest.mark.parametrize("name", ["01-preface.wav", "listen.html", "report.html", "report.json"])
def test_nothing_is_rendered_into_a_folder_with_a_persons_own_files(
    name: str, tiny: TinyBook, cli: Cli, fake_engine: FakeEngine
) -> None:
    path = tiny.folder / "audio" / name
    path.parent.mkdir()
    for make in (lambda: path.write_bytes(b"mine"), path.mkdir, lambda: path.symlink_to("nowhere"), _mkfifo(path)):
        make()
        refused(cli("render", manifest(tiny, "first.yaml", FIRST)), str(path))
        assert os.listdir(path.parent) == [name]  # noqa: PTH208
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    assert fake_engine.batches == []


def _mkfifo(path: Path) -> Callable[[], None]:
    return lambda: os.mkfifo(path)


def test_a_chapter_file_of_another_program_with_tags_is_not_ours(
    tiny: TinyBook, cli: Cli, fake_engine: FakeEngine
) -> None:
    tags = TrackTags(title="x", album="", artist="", track=1, tracks=1, comment="a comment of mine")
    write_chapter([bytes(48000)], [Target(tiny.folder / "audio" / "01-preface.wav", "wav")], tags)
    refused(cli("render", manifest(tiny, "first.yaml", FIRST)), "01-preface.wav was not written by maya-batch")


@pytest.mark.parametrize(
    ("book", "chapters", "source"),
    [
        ("report.json", [{"title": "One", "text": "It is so."}], "report.json"),
        ("book.yaml", [{"title": "One", "file": "01-one.wav"}], "01-one.wav"),
        ("book.yaml", [{"title": "One", "file": "report.html"}], "report.html"),
    ],
)
def test_a_source_of_the_book_is_never_written_over(
    book: str, chapters: list[dict[str, str]], source: str, tiny: TinyBook, cli: Cli, fake_engine: FakeEngine
) -> None:
    path = manifest(tiny, book, {}, output={"folder": "."}, chapters=chapters)
    if source != book:
        (tiny.folder / source).write_text("It is so.")
    before = tree(tiny.folder)
    refused(cli("render", path), source, "is a source of the book")
    assert tree(tiny.folder) == before


@pytest.mark.parametrize("change", [lambda b: b[:-2], lambda b: b[: len(b) // 2], lambda b: b + b"x"])
def test_a_chapter_of_ours_that_was_changed_is_kept_and_written_again(
    change: Callable[[bytes], bytes], first: Path, tiny: TinyBook, cli: Cli
) -> None:
    path = tiny.folder / "audio" / "01-preface.wav"
    before = path.read_bytes()
    path.write_bytes(change(before))
    said = cli("render", first)
    assert said.code == 0
    assert path.read_bytes() == before
    (aside,) = path.parent.glob("01-preface.wav.aside-*")
    assert aside.read_bytes() == change(before)
    assert f"{path} was changed since it was written; the changed file is kept as {aside.name}" in said.err


@pytest.mark.parametrize("name", ["first.yaml", "notes.txt", "audio/01-preface.wav"])
def test_messages_are_not_appended_to_a_persons_file(name: str, first: Path, tiny: TinyBook, cli: Cli) -> None:
    (tiny.folder / "notes.txt").write_text("mine")
    before = tree(tiny.folder)
    refused(cli("render", first, "--log-file", tiny.folder / name), "is not a log of maya-batch")
    assert tree(tiny.folder) == before
    for _ in range(2):
        assert cli("render", first, "--log-file", tiny.folder / "new.log").code == 0


@pytest.mark.parametrize("place", ["audio/.maya/one.txt", "audio/.02-two.wav.part"])
def test_a_source_in_a_place_that_is_written_to_is_refused(
    place: str, tiny: TinyBook, cli: Cli, fake_engine: FakeEngine
) -> None:
    source = tiny.folder / place
    source.parent.mkdir(parents=True)
    source.write_text("It is so.")
    path = manifest(tiny, "book.yaml", {}, chapters=[{"title": "One", "file": place}])
    refused(cli("render", path), str(source), "in a place that maya-batch writes to")
    assert source.read_text() == "It is so."


def test_a_lock_that_is_a_persons_own_file_is_left_alone(tiny: TinyBook, cli: Cli, fake_engine: FakeEngine) -> None:
    lock = tiny.folder / "audio" / ".maya" / "lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("a lock of mine")
    assert cli("render", manifest(tiny, "first.yaml", FIRST)).code == 2
    assert lock.read_text() == "a lock of mine"


def test_say_writes_over_its_own_files_alone(tiny: TinyBook, tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(b"mine")
    said = cli("say", "It is so.", "-o", path, "--model", "demo")
    refused(said, f"{path} exists and was not written by `say`")
    assert path.read_bytes() == b"mine"


# --- ten starts at once ----------------------------------------------------------------------------------------------


def test_of_ten_starts_at_once_one_renders_the_book(tiny: TinyBook) -> None:
    path = manifest(tiny, "first.yaml", FIRST)
    runs = [start(path, FAKE_BATCH=0.3) for _ in range(10)]
    codes = sorted(run.end() for run in runs)
    assert set(codes) <= {0, 75}, [run.said() for run in runs]
    assert 75 in codes
    assert sorted(found.name for found in (tiny.folder / "audio").glob("*.wav")) == ["01-preface.wav", "02-the-end.wav"]
    assert len(list((tiny.folder / "audio").rglob("*.npz"))) == 2


def test_of_ten_starts_at_once_of_two_books_one_book_has_the_folder(tiny: TinyBook) -> None:
    books = [manifest(tiny, "first.yaml", FIRST), manifest(tiny, "second.yaml", SECOND)]
    runs = [start(books[number % 2], FAKE_BATCH=0.3) for number in range(10)]
    codes = [run.end() for run in runs]
    assert set(codes) <= {0, 2, 75}, [run.said() for run in runs]
    rendered = {number % 2 for number, code in enumerate(codes) if code == 0}
    assert len(rendered) == 1
    takes = {path.parent.name for path in (tiny.folder / "audio").rglob("*.npz")}
    chunks = FIRST if rendered == {0} else SECOND
    assert len(takes) == sum(map(len, chunks.values()))
    assert not (tiny.folder / "audio" / ".maya" / "unclaimed.json").exists()
