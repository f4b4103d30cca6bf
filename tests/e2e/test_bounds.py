"""Whatever a file holds, it is planned or refused before it costs hours, gigabytes or screens of messages."""

import os
import pickle
import subprocess
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from sentencex import segment

from maya_batch import manifest
from maya_batch.book import pieces
from maya_batch.book import plan as plan_module
from maya_batch.book.book_id import BookId, read_book_id, write_book_id
from maya_batch.book.plan import make_plan
from maya_batch.book.settings import machine_settings
from maya_batch.book.take_choices import Choices
from maya_batch.checkpoint.hf_config import CONTEXT
from maya_batch.errors import Finding, MachineError, ManifestError, UsageError
from maya_batch.files.json_file import read_json
from maya_batch.manifest import Render, read_manuscript
from maya_batch.manifest.yaml_positions import MOST_NODES, load
from maya_batch.messages.suggestions import closest, listed
from maya_batch.report.shell_word import shell_word
from maya_batch.text import parser
from maya_batch.text.break_points import count_words
from maya_batch.text.emotion_tags import MAYA1_TAGS
from maya_batch.text.parser import parse_script
from maya_batch.text.sentences import sentences

HEAD = "title: T\nvoices: {anna: A calm voice}\n"
BOOK = HEAD + "chapters:\n  - {title: One, text: Hello there.}\n"


def findings(folder: Path, book: str) -> list[str]:
    (folder / "book.yaml").write_text(book)
    with pytest.raises(ManifestError) as caught:
        make_plan(folder / "book.yaml", Render())
    return str(caught.value).splitlines()


@pytest.mark.parametrize("document", ["{0}", "x: [{0}]", "x: {{{0}}}"])
def test_too_many_values_are_refused_before_anything_is_made_of_them(
    document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml, "compose", None)
    inside = ("k: 1\n" if document == "{0}" else "k, ") * MOST_NODES
    source, (found,) = load(document.format(inside).encode(), "book.yaml")
    assert source is None
    assert f"more than {MOST_NODES} values" in found.what


def test_as_many_values_as_may_be_are_read() -> None:
    source, found = load(("- 1\n" * (MOST_NODES - 1)).encode(), "book.yaml")
    assert source is not None
    assert found == []


@pytest.mark.parametrize(
    "unit", ["“a ", "„a ", "‘a ", "«a ", "»«a ", "‹a ", "「a ", "《a ", "``a’ ", '`a"b é ', "''a\" ", "漢字。", "“"]
)
def test_sentences_of_hostile_texts_take_linear_time(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    begun = time.process_time()
    assert "".join(sentences(text, "en")) == text
    assert time.process_time() - begun < 20  # sentencex takes minutes for most of them


def test_sentences_of_usual_texts_are_those_of_sentencex() -> None:
    text = "“No,” she said. ‘It’s late.’ Mr. Smith left; „so what?“ «Oui.» ``Yes.'' 漢字。仮名。 " * 12
    assert len(sentences(text, "en")) > 40
    assert sentences(text, "en") == segment("en", text)


@pytest.mark.parametrize("text", ["a" * 2_000_000, "a-" * 1_000_000])
def test_words_of_any_length_are_counted_in_little_memory(text: str) -> None:
    tracemalloc.start()
    assert count_words(text) == 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6


def test_a_text_that_no_model_has_room_for_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plural: list[int] = []

    def cap_tokens(text: str, description: str, language: str, rules: int) -> int:
        plural.append(len(text))
        return 300

    monkeypatch.setattr(pieces, "cap_tokens", cap_tokens)
    (line,) = findings(tmp_path, f"{HEAD}chapters:\n  - title: One\n    text: Well. {'a' * 1_000_000}\n")
    assert line.endswith(
        "is too long for the model to speak, and there is no place to cut it; add spaces, or write it in words"
    )
    assert max(plural, default=0) < CONTEXT


@pytest.mark.parametrize("unit", ["[", "<", "<pause> ", "[bob] a ", "<1> ", "\\<"])
def test_problems_are_told_up_to_a_number(unit: str) -> None:
    begun = time.process_time()
    _, problems = parse_script(unit * 30_000 + "end", ("anna",), MAYA1_TAGS)
    assert len(problems) <= 10_000
    assert time.process_time() - begun < 30


def test_a_problem_after_thousands_of_tags_that_may_be_allowed_is_told() -> None:
    _, problems = parse_script("<pause> " * 11_000 + "[bob] end", ("anna",), MAYA1_TAGS)
    assert [problem.what for problem in problems if not problem.tag] == ["[bob] names no voice"]


def test_blanks_after_a_less_than_take_linear_time() -> None:
    begun = time.process_time()
    parse_script("a <" + " " * 200_000 + "b", (), MAYA1_TAGS)
    assert time.process_time() - begun < 20


def test_a_text_has_so_many_paragraphs_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "_MOST_PASSAGES", 1000)
    passages, (problem,) = parse_script("a\n\n" * 1001, (), MAYA1_TAGS)
    assert passages == []
    assert (problem.offset, problem.what) == (3000, "the text has more than 1,000 paragraphs")
    assert len(parse_script("a\n\n" * 1000, (), MAYA1_TAGS)[0]) == 1000


def test_a_text_that_many_chapters_name_is_counted_for_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "LIMIT_BYTES", 20_000)
    chapters = "".join(f"  - {{title: C{number}, file: c.txt}}\n" for number in range(30))
    (tmp_path / "c.txt").write_text("A word.\n\n" * 100)
    (line,) = findings(tmp_path, f"{HEAD}chapters:\n{chapters}")
    assert "book.yaml:26:5: the chapters up to this one have more than 20,000 characters; split the book" in line


def test_a_book_has_so_many_chunks_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "MOST_CHUNKS", 25)
    chapters = "".join(f"  - {{title: C{number}, text: One word.}}\n" for number in range(30))
    (line,) = findings(tmp_path, f"{HEAD}chapters:\n{chapters}")
    assert "book.yaml:29:24: the book has more than 25 chunks up to here; split" in line


def test_many_allowed_tags_are_a_screen_of_warnings(tmp_path: Path) -> None:
    path = tmp_path / "book.yaml"
    path.write_text(f"{HEAD}chapters:\n  - title: One\n    text: {'Oh <pause> no. ' * 200}\n")
    warnings = make_plan(path, Render(), allow_unknown_tags=True).warnings
    assert len(warnings) == 51
    assert warnings[0].endswith("(allowed)")
    assert warnings[-1] == "… and 150 more mistakes"


def test_the_first_mistakes_are_shown_and_the_rest_is_counted() -> None:
    error = ManifestError([Finding("book.yaml", line, 1, "wrong") for line in range(10_000, 0, -1)])
    lines = str(error).splitlines()
    assert lines[0] == "book.yaml:1:1: wrong"
    assert lines[49:] == ["book.yaml:50:1: wrong", "… and 9,950 more mistakes"]
    assert len(error.findings) == 10_000
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(ManifestError(error.findings[:51])).endswith("… and 1 more mistake")


def test_a_line_of_a_message_has_an_end() -> None:
    line = str(Finding("f" * 10_000, 1, 2, "w" * 10_000, "m" * 10_000))
    assert len(line) < 5200
    assert ":1:2: www" in line
    assert "…; mmm" in line


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ("voice: {0}", "`voice` has 100000 characters; the limit is 1000"),
        ("author: {0}", "`author` has 100000 characters"),
        ("language: {0}", "`language` has 100000 characters"),
        ("output: {{folder: {0}}}", "`folder` has 100000 characters"),
        ("output: {{folder: /{0}}}", "`folder` has 100001 characters"),
        ("output: {{formats: [{{type: mp3, bitrate: {0}}}]}}", "'aaaaa"),
        ("output: {{formats: {0}}}", "`formats` must be a list"),
        ("render: {{model: /{0}}}", "`model` has 100001 characters"),
        ("render: {{codec: {0}}}", "`codec` has 100000 characters"),
        ("render: {{failed: {0}}}", "`failed` cannot be 'aaa"),
        ("render: {{seed: {0}}}", "`seed` must be a whole number, not 'aaa"),
        ("pauses:\n  ? {0}\n  : 1", "unknown key 'aaa"),
        ("? {0}\n: 1", "unknown key 'aaa"),
        ("author: !{0} x", "the tag '!aaa"),
    ],
)
def test_values_as_long_as_a_file_are_named_in_a_few_words(part: str, what: str, tmp_path: Path) -> None:
    (line,) = findings(tmp_path, BOOK + part.format("a" * 100_000) + "\n")
    assert what in line
    assert len(line) < 500 + len(str(tmp_path))


@pytest.mark.parametrize(
    "part",
    [
        "output: {{folder: {0}}}",
        "render: {{model: {0}}}",
        "render: {{codec: ./{0}}}",
        "chapters: [{{title: One, file: {0}}}]",
    ],
)
def test_paths_lead_through_so_many_folders_at_most(part: str, tmp_path: Path) -> None:
    book = HEAD if "chapters" in part else BOOK
    (line,) = findings(tmp_path, book + part.format("/".join("a" * 40)) + "\n")
    assert "folders deep; the limit is 32" in line
    fine = book + part.format("/".join("a" * 31)) + "\n"
    (tmp_path / "book.yaml").write_text(fine)
    assert "folders deep" not in str(read_manuscript(tmp_path / "book.yaml")[1])


def test_mistakes_in_thousands_are_found_fast(tmp_path: Path) -> None:
    voices = "".join(f"  v{number}: A calm voice\n" for number in range(4000))
    chapters = "".join(f"  - {{title: C{n}, text: Oh, voice: w{n}, voise: x}}\n" for n in range(4000))
    begun = time.process_time()
    lines = findings(tmp_path, f"title: T\nvoices:\n{voices}chapters:\n{chapters}")
    assert time.process_time() - begun < 60  # difflib takes an hour
    assert lines[-1] == "… and 7,950 more mistakes"
    assert max(map(len, lines)) < 300 + len(str(tmp_path))
    assert any(line.endswith("v10, v11 and 3,988 more") for line in lines)


def test_a_close_name_is_found_among_those_a_person_can_know() -> None:
    names = [f"voice {number}" for number in range(200)]
    assert closest("Voice-17", names) == "voice 17"
    assert closest("nobody", names) is None
    assert closest("Voice-17", [*names, "x"]) is None
    assert listed(["a", "b"]) == "a, b"
    assert listed(names).endswith("voice 11 and 188 more")


def test_choices_in_thousands_are_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "choices.yaml"
    path.write_text("# mine\n" + "".join(f"{number:064x}: {number % 9 + 1}\n" for number in range(20_000)))
    begun = time.process_time()
    assert Choices(path).get(f"{17:064x}") == 9
    assert time.process_time() - begun < 10  # 20 s before


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "a: " + "9" * 5000,
        "a: 1e9",
        "a: 0",
        "a: 1.5",
        "a: [1]",
        "a: &b [*b]",
        "a: 1\na: 2\n",
        "x",
        "!x a: 1",
        "a:\n",
    ],
)
def test_what_is_no_choices_is_said_in_a_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "choices.yaml"
    path.write_text(text)
    with pytest.raises(MachineError, match="not a mapping of keys to attempts") as caught:
        Choices(path).get("a")
    assert len(str(caught.value)) < 300 + len(str(path))


@pytest.mark.parametrize("text", ["", "# none\n\n  # yet\n", "---\n"])
def test_a_file_without_choices_has_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "choices.yaml").write_text(text)
    assert Choices(tmp_path / "choices.yaml").get("a") is None


def fifo(path: Path) -> None:
    os.mkfifo(path)


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1_200_000_000)


@pytest.mark.parametrize(("make", "why"), [(fifo, "is not a regular file"), (huge, "is larger than 20 MB")])
def test_a_configuration_is_a_file_of_a_sane_size(make: Callable[[Path], None], why: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    make(path)
    with pytest.raises(UsageError, match=why):
        machine_settings(str(path), {})
    with pytest.raises(ValueError, match=r"no such file|more than 1,000,000 bytes"):
        read_json(path)


def test_a_device_is_no_configuration_and_no_long_name_is_one() -> None:
    with pytest.raises(UsageError, match=r"--config /dev/zero is not a regular file"):
        machine_settings("/dev/zero", {})
    with pytest.raises(UsageError, match="no such file, and none of") as caught:
        machine_settings("a" * 100_000, {})
    assert len(str(caught.value)) < 300


def test_json_that_nests_too_deeply_is_an_error_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nested too deep"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    "name",
    [b"a\\x41\x01b", b"caf\xe9.yaml", b"it's \\ \xe9f\xc3\xa9 $x\n`y`.yaml", "café".encode(), b"a b", b"\x01\xff"],
)
def test_a_shell_reads_a_word_as_the_bytes_it_is(name: bytes) -> None:
    done = subprocess.run(
        ["bash", "-c", f"printf %s {shell_word(os.fsdecode(name))}".encode()], capture_output=True, check=True
    )
    assert done.stdout == name
    assert shell_word(os.fsdecode(name)).isprintable()


def test_a_folder_belongs_to_a_book_whose_name_is_no_utf_8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.yaml")
    book = BookId("0" * 32, name, f"../{name}", "T")
    write_book_id(tmp_path, book)
    assert read_book_id(tmp_path) == book
