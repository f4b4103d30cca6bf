"""What a report tells, as data and as JSON."""

import json
from dataclasses import fields, replace
from typing import Any

import jsonschema
import pytest

from maya_batch import errors
from maya_batch.book.character_accounting import Characters
from maya_batch.quality import Problem
from maya_batch.report.json_schema import json_schema
from maya_batch.report.model import MOST_TAKES, ChapterReport, ChunkReport, Report, count_problems, to_json, worst_takes
from maya_batch.report.text_diff import Words, word_diff
from tests.support.reports import a_night, chunk, report

SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_characters_are_added_part_by_part() -> None:
    counts = [Characters(15, 1, 2, 3, 4, 5), Characters(150, 10, 20, 30, 40, 50)]
    assert Characters.sum(counts) == Characters(165, 11, 22, 33, 44, 55)
    assert Characters.sum([]) == Characters(0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("counts", [(16, 1, 2, 3, 4, 5), (14, 1, 2, 3, 4, 5), (1, -1, 2, 0, 0, 0)])
def test_characters_that_do_not_add_up_are_refused(counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="does not add up"):
        Characters(*counts)


def test_problems_are_counted_by_chunk_and_the_most_frequent_kind_comes_first() -> None:
    cap, words = Problem("cap", "x"), Problem("words", "y")
    chunks = [chunk(problems=(words, Problem("words", "z"))), chunk(problems=(cap, words)), chunk()]
    assert list(count_problems(chunks).items()) == [("words", 2), ("cap", 1)]


def test_a_chunk_is_named_with_the_beginning_of_its_key() -> None:
    assert chunk("3:17").name == "3:17@a1b2"


def test_the_json_has_what_programs_look_for() -> None:
    content = json.loads(to_json(a_night()))
    assert content["exit_code"] == 3
    assert content["x_realtime"] == 31.24
    first = content["chapters"][0]
    assert (first["file"], first["seconds"], first["loudness_lufs"]) == ("01-part.mp3", 61.4, -19.34)
    assert set(first["characters"]) == {"total", "heard", "unheard", "with_problems", "missing", "waived", "skipped"}
    second = content["chunks"][1]
    assert (second["ref"], second["attempts"], second["word_error"]) == ("1:2", 3, 0.45)
    assert [problem["kind"] for problem in second["problems"]] == ["cap", "words"]


def test_the_json_is_of_its_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    VALIDATOR.validate(json.loads(to_json(a_night())))
    bare = report(x_realtime=None, engine="", author="", exit_code=75)
    VALIDATOR.validate(json.loads(to_json(bare)))
    night = a_night()
    without = replace(night.chapters[0], file=None, seconds=None, loudness_lufs=None)
    VALIDATOR.validate(json.loads(to_json(replace(night, chapters=(without,)))))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("exit_code",), 6),
        (("exit_code",), None),
        (("x_realtime",), "31"),
        (("started",), "2026-11-24T22:30:00"),
        (("ended",), "yesterday"),
        (("retries",), 1.5),
        (("problems_by_kind", "cap"), 0),
        (("more",), 1),
        (("characters", "heard"), "1"),
        (("chapters", 0, "characters", "waived"), None),
        (("chapters", 0, "number"), -1),
        (("chapters", 0, "file"), ""),
        (("chapters", 0, "loudness_lufs"), "-19"),
        (("language",), ""),
        (("generator",), "another"),
        (("chunks", 0, "ref"), "1-2"),
        (("chunks", 0, "problems"), {}),
        (("chunks", 1, "problems", 0), "cap"),
        (("chunks", 0, "word_error"), -0.1),
        (("chunks", 0, "chosen"), 1),
        (("chunks", 1, "unheard", 0), -1),
        (("chunks", 0, "other"), 1),
    ],
    ids=str,
)
def test_the_schema_refuses_a_wrong_value(place: tuple[Any, ...], value: object) -> None:
    content = json.loads(to_json(a_night()))
    inner = content
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    [path] = {tuple(error.absolute_path) for error in VALIDATOR.iter_errors(content)}
    assert path in (place, place[:-1])


def objects() -> list[tuple[type, dict[str, Any]]]:
    parts = [Characters, Problem, ChapterReport, ChunkReport]
    return [(Report, SCHEMA), *((part, SCHEMA["$defs"][part.__name__]) for part in parts)]


@pytest.mark.parametrize(("kind", "schema"), objects(), ids=lambda value: getattr(value, "__name__", ""))
def test_the_schema_knows_every_field_and_asks_for_it(kind: Any, schema: dict[str, Any]) -> None:
    names = [field.name for field in fields(kind)]
    assert list(schema["properties"]) == names
    assert schema["required"] == names
    assert schema["additionalProperties"] is False


def test_the_schema_says_what_each_key_means() -> None:
    plain = {("ChapterReport", "title"), ("ChapterReport", "characters"), ("Characters", "total")}
    plain |= {("Problem", "kind"), ("Problem", "detail")}  # of these the class tells
    keys = {(kind.__name__, name): value for kind, part in objects() for name, value in part["properties"].items()}
    assert {key for key, value in keys.items() if not value.get("description")} == plain
    assert not any("Raises" in part["description"] for _, part in objects())


def test_the_schema_knows_every_exit_code() -> None:
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert set(SCHEMA["properties"]["exit_code"]["enum"]) == codes


def test_a_number_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json(report(speech_hours=float("nan")))


def test_the_worst_take_is_the_first() -> None:
    cap, words = Problem("cap", ""), Problem("words", "")
    chunks = [
        chunk("1:1"),
        chunk("1:2", word_error=0.1),
        chunk("1:3", problems=(cap,), word_error=0.1),
        chunk("1:4", problems=(cap, words), word_error=0.1),
        chunk("1:5", problems=(cap,), word_error=0.3),
        chunk("1:6", problems=(cap,), word_error=0.3),
        chunk("1:7", problems=(cap,), word_error=None),
        chunk("1:8", problems=(cap, words), chosen=True),
        chunk("1:9", attempt=0, attempts=0, word_error=None),
    ]
    assert [each.ref for each in worst_takes(chunks)] == ["1:4", "1:5", "1:6", "1:3", "1:7", "1:2", "1:8"]


def test_all_worst_takes_are_told_however_many() -> None:
    chunks = [chunk(f"1:{number}", word_error=0.5) for number in range(1, MOST_TAKES + 20)]
    assert worst_takes(chunks) == chunks


@pytest.mark.parametrize(
    ("text", "heard", "unheard", "expected"),
    [
        ("All is well.", "all is well", None, [("same", "All is well.")]),
        ("All is well.", "all well", None, [("same", "All"), ("missing", "is"), ("same", "well.")]),
        ("All is well.", "all is very well", None, [("same", "All is"), ("added", "very"), ("same", "well.")]),
        ("A ferry.", "a fairy", None, [("same", "A"), ("missing", "ferry."), ("added", "fairy")]),
        ("In 1984, he", "in nineteen eighty-four he", [], [("same", "In 1984, he")]),
        ("So <sigh> it is", "so it is so", None, [("same", "So <sigh> it is"), ("added", "so")]),
        ("One, two.", "", None, [("missing", "One, two.")]),
        ("— “<laugh>” …", "ha", None, [("same", "— “<laugh>” …"), ("added", "ha")]),
        ("", "", None, []),
        ("no no no", "no no", [2], [("same", "no no"), ("missing", "no")]),
    ],
)
def test_words_that_are_missing_or_too_many_are_told_apart(
    text: str, heard: str, unheard: list[int] | None, expected: list[tuple[str, str]]
) -> None:
    assert [(words.kind, words.text) for words in word_diff(text, heard, unheard)] == expected


def test_no_word_of_the_text_is_lost() -> None:
    text = "An old <sigh> man, rowed — the ferry 1984 across"
    kept = [words.text for words in word_diff(text, "old the woman ferried", None) if words.kind != "added"]
    assert " ".join(kept) == text
    assert Words("added", "woman") not in word_diff(text, text)
