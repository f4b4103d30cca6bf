"""A voice is heard in several seeds, and pinned in the one that sounds best."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import yaml

from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from tests.conftest import Said
from tests.e2e.test_cli import one_line
from tests.support.demo import maya, write_book
from tests.support.fakes import FakeEngine, TinyBook

Cli = Callable[..., Said]
TEXT = {"One": ["Fine talk.", "[tom] Other talk."], "Two": ["[tom] The end."]}


@pytest.fixture
def book(tiny: TinyBook) -> TinyBook:
    tiny.write(TEXT)
    return tiny


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_first_words_of_a_voice_are_spoken_in_each_seed(book: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    fake_engine.batch_size = 8
    said = cli("audition", book.path, "--voice", "tom", "--seeds", "3")
    assert (said.code, said.out) == (0, "")
    folder = book.folder / "book-audition"
    assert names(folder) == [f"tom-seed-{seed}.wav" for seed in range(3)]
    assert fake_engine.batches == [["Other talk."] * 3]
    assert len({request.seed for request in fake_engine.requests}) == 3
    lines = said.err.splitlines()
    assert [re.sub(r"\d+\.\d", "N", line) for line in lines[:3]] == [
        f"{folder / f'tom-seed-{seed}.wav'}  N s" for seed in range(3)
    ]
    assert lines[3].endswith(f" write it into {book.path}:")
    assert yaml.safe_load("\n".join(lines[4:])) == {"voices": {"tom": {"description": "Another voice", "seed": 0}}}
    assert not book.output.exists()


@pytest.mark.parametrize("begun", [False, True])
def test_a_voice_that_is_pinned_says_just_what_was_heard(
    begun: bool, book: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    if begun:
        assert cli("render", book.path, "--decoding", "free").code == 0
        fake_engine.requests.clear()
    lock = (book.output / ".maya" / "model.lock") if begun else None
    before = lock.read_bytes() if lock else b""
    assert cli("audition", book.path, "--voice", "tom", "--seeds", "4").code == 0
    heard = fake_engine.requests[3]
    assert lock is None or lock.read_bytes() == before
    book.write(TEXT, voices={"anna": "A calm voice", "tom": {"description": "Another voice", "seed": 3}})
    fake_engine.requests.clear()
    assert cli("render", book.path).code == 0
    assert heard in fake_engine.requests
    state = book_state(book.plan(), Machine())
    assert heard.key in [state.key(chunk) for chunk in state.plan.chunks() if chunk.ref == "1:2"]


def test_equal_chunks_of_a_voice_of_the_same_words_are_told_apart(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    chapters = {"One": ["Same talk.", "[tom] Same talk."]}
    voices = {"anna": {"description": "A voice", "seed": 1}, "tom": {"description": "A voice", "seed": 5}}
    tiny.write(chapters, voices=voices)
    assert cli("audition", tiny.path, "--voice", "tom", "--seeds", "2").code == 0
    heard = fake_engine.requests[1]
    tiny.write(chapters, voices=voices | {"tom": {"description": "A voice", "seed": 1}})
    fake_engine.requests.clear()
    assert cli("render", tiny.path).code == 0
    assert fake_engine.requests[-1] == heard


def test_a_text_of_ones_own_is_spoken_whole(book: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    text = "A first paragraph.\n\nA second one."
    assert cli("audition", book.path, "--voice", "anna", "--seeds", "2", "--text", text).code == 0
    assert fake_engine.texts == ["A first paragraph.", "A second one."] * 2
    assert len({request.key for request in fake_engine.requests}) == 4


def test_a_voice_without_words_in_the_book_says_others(book: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    book.write({"One": ["Fine talk."]})
    assert cli("audition", book.path, "--voice", "tom", "--seeds", "1").code == 0
    assert len(fake_engine.texts) == 1
    assert fake_engine.texts[0].startswith("The lamp was lit")
    assert fake_engine.requests[0].description.startswith("Another voice")


def test_takes_with_problems_are_said_and_another_seed_is_shown(
    book: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    said = cli("audition", book.path, "--voice", "anna", "--seeds", "2", "--text", "Hush now.", "--quiet")
    assert (said.code, said.out) == (3, "")
    assert [line.split(":")[0] for line in said.err.splitlines()[:2]] == ["seed 0 silent", "seed 1 silent"]


def test_files_made_here_are_made_anew_and_no_others(book: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    folder = book.folder / "samples"
    args = ("audition", book.path, "--voice", "anna", "--seeds", "2", "--output", folder)
    assert cli(*args).code == 0
    first = (folder / "anna-seed-1.wav").read_bytes()
    assert cli(*args, "--text", "Other words, and more of them.").code == 0
    assert cli(*args).code == 0
    assert (folder / "anna-seed-1.wav").read_bytes() == first
    (folder / "anna-seed-1.wav").write_bytes(b"RIFF mine")
    (folder / "anna-seed-0.wav").unlink()
    fake_engine.batches.clear()
    line = one_line(cli(*args), 2)
    assert (
        line == f"{folder}/anna-seed-1.wav exists and was not written by `audition`; move it, or name another --output"
    )
    assert (folder / "anna-seed-1.wav").read_bytes() == b"RIFF mine"
    assert (names(folder), fake_engine.batches) == (["anna-seed-1.wav"], [])


def test_a_file_where_the_folder_should_be_is_seen_before_anything_is_loaded(
    book: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    (book.folder / "book-audition").write_text("mine")
    line = one_line(cli("audition", book.path, "--voice", "anna"), 2)
    assert line == f"{book.folder / 'book-audition'} is not a folder; move it, or name another --output"
    assert (fake_engine.batches, (book.folder / "book-audition").read_text()) == ([], "mine")


def test_samples_in_the_books_own_folder_are_nothing_left_over(
    book: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    assert cli("render", book.path).code == 0
    assert cli("audition", book.path, "--voice", "anna", "--seeds", "1", "--output", book.output).code == 0
    assert cli("clean", book.path).out == "nothing to remove\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--voice", "ana"], "--voice 'ana': did you mean `anna`? the voices of the book: anna, tom"),
        (["--voice", "zoe"], "--voice 'zoe': the voices of the book: anna, tom"),
        (["--voice", "tom", "--text", "Oh <cough> no."], "text:1:4: <cough> "),
        (["--voice", "tom", "--text", ""], "text:1:1: the chapter has no text to speak"),
        (["--voice", "tom", "--device", "tpu"], "--device cannot be "),
    ],
)
def test_what_cannot_be_heard(args: list[str], message: str, book: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    assert one_line(cli("audition", book.path, *args), 2).startswith(message)
    assert fake_engine.batches == []
    assert not (book.folder / "book-audition").exists()


def test_none_or_fewer_seeds_are_no_seeds(book: TinyBook, cli: Cli) -> None:
    assert cli("audition", book.path, "--voice", "tom", "--seeds", "0").code == 2


@pytest.mark.slow
def test_a_real_voice_is_heard(tmp_path: Path) -> None:
    manifest = write_book(tmp_path / "book.yaml", [["The rain was gone."]])
    done = maya("audition", manifest, "--voice", "narrator", "--seeds", "2")
    assert done.returncode in (0, 3), done.stderr
    files = sorted((tmp_path / "book-audition").iterdir())
    assert [path.name for path in files] == ["narrator-seed-0.wav", "narrator-seed-1.wav"]
    assert all(soundfile.info(path).duration > 1 for path in files)
    assert files[0].read_bytes() != files[1].read_bytes()
