import re
import time

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from maya_batch.manifest.yaml_positions import MOST_NODES, YamlSource, load
from tests.support.properties import examples

ESCAPE = re.compile(r"\\(x..|u.{4}|U.{8}|.)")
LINES = re.compile(r"\r\n|\r|\n")


def sound(text: str | bytes) -> YamlSource:
    source, findings = load(text.encode() if isinstance(text, str) else text, "book.yaml")
    assert findings == []
    assert source is not None
    return source


def findings(text: str | bytes) -> list[str]:
    _, found = load(text.encode() if isinstance(text, str) else text, "book.yaml")
    return [str(finding) for finding in found]


def test_scalars_stay_as_written_and_only_a_plain_null_is_none() -> None:
    text = "a: 1984\nb: no\nc: ~\nd:\ne: null\nf: 'null'\ng: ''\nh: 1e3\ni: 2020-01-01\nj: !!int 07\n"
    assert sound(text).data == {
        "a": "1984",
        "b": "no",
        "c": None,
        "d": None,
        "e": None,
        "f": "null",
        "g": "",
        "h": "1e3",
        "i": "2020-01-01",
        "j": "07",
    }


def test_merge_keys_fill_in_and_own_keys_win() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc:\n  y: 9\n  <<: [*a, *b]\nd: {<<: *b}\n"
    source = sound(text)
    assert source.data == {
        "a": {"x": "1", "y": "2"},
        "b": {"y": "3", "z": "4"},
        "c": {"x": "1", "y": "9", "z": "4"},
        "d": {"y": "3", "z": "4"},
    }
    assert source.place(("c", "z")) == (2, 17)


def test_places_of_values_keys_and_what_is_missing() -> None:
    source = sound("# a book\ntitle: T\nchapters:\n  - title: One\n    voice: anna\n  - two\n")
    assert source.place(("title",)) == (2, 8)
    assert source.key_place(("title",)) == (2, 1)
    assert source.place(("chapters", 0, "voice")) == (5, 12)
    assert source.key_place(("chapters", 0, "voice")) == (5, 5)
    assert source.place(("chapters", 0, "text")) == (4, 5)
    assert source.place(("chapters", 1)) == (6, 5)
    assert source.key_place(("chapters", 1)) == (6, 5)
    assert source.place(("chapters", 7, "text")) == (4, 3)
    assert source.place(("nothing",)) == (2, 1)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_byte_order_mark_and_other_newlines_move_no_place(newline: str) -> None:
    text = newline.join(["a: 1", "b: |", "  one", "", "  two", "c: x"])
    source = sound(b"\xef\xbb\xbf" + text.encode())
    assert source.data == {"a": "1", "b": "one\n\ntwo\n", "c": "x"}
    assert source.place(("a",)) == (1, 4)
    assert source.locate(("b",), 5) == (5, 3)
    assert source.place(("c",)) == (6, 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "book.yaml:3:1: the key 'a' is repeated; the first one is in line 1"),
        ("a: 1\n[b]: 2\n", "book.yaml:2:1: a key must be a plain word"),
        ("a: !!python/object:os.system x\n", "book.yaml:1:4: the tag '!!python/object:os.system'"),
        ("a: !foo x\n", "book.yaml:1:4: the tag '!foo' is not allowed; remove the tag"),
        ("a: !!binary aGk=\n", "book.yaml:1:4: the tag '!!binary' is not allowed"),
        ("a: &a [*a]\n", "book.yaml:1:4: an anchor contains its own alias"),
        ("a: &a {<<: *a}\n", "book.yaml:1:4: an anchor contains its own alias"),
        ("a: {<<: x}\n", "book.yaml:1:9: `<<` takes a mapping"),
        ("a: *b\n", "book.yaml:1:4: not valid YAML: found undefined alias"),
        ("a: b: c\n", "book.yaml:1:5: not valid YAML: mapping values are not allowed in this context"),
        ("a:\n\tb: c\n", "book.yaml:2:1: not valid YAML: found character that cannot start any token"),
        ("a: 'x\nb: 1\n", "book.yaml:3:1: not valid YAML: found unexpected end of stream (while scanning"),
        ("a: 1\n---\nb: 2\n", "book.yaml:2:1: a second YAML document starts here"),
        ("", "book.yaml:1:1: the file is empty"),
        ("# nothing\n", "book.yaml:1:1: the file is empty"),
        ("a: 1\nb: x\0y\n", "book.yaml:2:5: a NUL byte is not allowed in a text"),
        ("a: 1\nb: é\x1b\n", "book.yaml:2:5: the control character U+001B"),
        (b"a: \xc3\xa9\nb: \xc3\xa9\xe9\n", "book.yaml:2:5: not UTF-8: the byte 0xE9"),
        ("a: 1".encode("utf-16"), "book.yaml:1:1: not UTF-8: the byte 0xFF"),
        ("[" * 60, "book.yaml:1:51: nested more than 50 levels deep"),
        ("- " * 100_000, "book.yaml:1:101: nested more than 50 levels deep"),
        ("? " * 100_000, "book.yaml:1:101: nested more than 50 levels deep"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_clear_line(text: str | bytes, expected: str) -> None:
    found = findings(text)
    assert len(found) == 1
    assert found[0].startswith(expected)
    assert "\n" not in found[0]


def test_one_load_finds_several_mistakes() -> None:
    assert [line.split(":")[1] for line in findings("a: !x 1\nb: 2\nb: 3\n[c]: 4\n")] == ["1", "3", "4"]


def test_exploding_aliases_are_refused_without_being_expanded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    begun = time.monotonic()
    (found,) = findings("\n".join(lines))
    assert time.monotonic() - begun < 20  # without the limit it never ends
    assert found.startswith("book.yaml:5:5: ")
    assert f"more than {MOST_NODES} values" in found


def test_a_chain_of_aliases_counts_as_nesting() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 2000)]
    (found,) = findings("\n".join(lines))
    assert "nested more than 50 levels deep" in found


@pytest.mark.parametrize(
    ("text", "at", "place"),
    [
        ("a: |\n  one\n  two\n", "two", (3, 3)),
        ("a: |2-  # a comment\n    one\n\n   two\n", "two", (4, 4)),
        ("a: >\n  one\n  two\n\n  three\n", "three", (5, 3)),
        ("a: one\n  two\n   three\n", "three", (3, 4)),
        ("a: 'it''s\n  so'\n", "so", (2, 3)),
        ("a: 'it''s so'\n", "s so", (1, 9)),
        ('a: "x\\u201cy\\n\\"z"\n', "z", (1, 17)),
        ('a: "x\\\n  \\ y"\n', "y", (2, 5)),
        ('a: "x\\x20\\\\y"\n', "y", (1, 12)),
        ("a: &b !!str |\n  one\n  two\n", "two", (3, 3)),
        ("a: &b # a comment\n  'one two'\n", "two", (2, 8)),
        ("a: one two\n", " two", (1, 7)),
    ],
)
def test_locate_in_every_style(text: str, at: str, place: tuple[int, int]) -> None:
    source = sound(text)
    assert isinstance(source.data, dict)
    value = source.data["a"]
    assert isinstance(value, str)
    assert source.locate(("a",), value.index(at)) == place


def test_locate_at_the_ends_and_where_there_is_no_text() -> None:
    source = sound("a: 'one  '\nb: ''\nc: [x]\nd: |\n\n   \n")
    assert source.locate(("a",), 99) == (1, 8)
    assert source.locate(("a",), 0) == (1, 5)
    assert source.locate(("b",), 0) == (2, 5)
    assert source.locate(("c",), 3) == source.place(("c",))
    assert source.locate(("d",), 1)[0] in (5, 6, 7)


words = st.text(st.sampled_from("abé“”'\"\\#:-&!|>%@{}[],? \t\n\x85\u2028\xa0\u3000\U0001f600\ufeff"), max_size=60)


@settings(max_examples=examples(300))
@given(words, st.sampled_from([None, "'", '"', "|", ">"]), st.integers(5, 40), st.booleans())
@example("it's 'so'\n\n  \"x\" \\ y\n", "'", 5, False)
def test_locate_points_at_the_character_of_the_value(value: str, style: str | None, width: int, unicode: bool) -> None:
    text = yaml.dump({"k": ["x", value]}, default_style=style, width=width, allow_unicode=unicode, indent=4)
    source = sound(text)
    assert isinstance(source.data, dict)
    read = source.data["k"][1]  # type: ignore[index]
    assert isinstance(read, str | None)
    lines = LINES.split(text)
    before = (0, 0)
    for offset, character in enumerate(read or ""):
        if character.isspace():
            continue
        line, column = source.locate(("k", 1), offset)
        written = lines[line - 1][column - 1]
        assert written in (character, "\\")
        if written != character:
            escape = ESCAPE.match(lines[line - 1], column - 1)
            assert escape is not None
            assert yaml.safe_load(f'"{escape[0]}"') == character
        assert (line, column) > before
        before = line, column


@settings(max_examples=examples(200))
@given(st.lists(st.text(st.sampled_from("abé “#:'\"-\t"), max_size=12), min_size=1), st.sampled_from("|>"))
def test_locate_in_blocks_written_by_hand(lines: list[str], style: str) -> None:
    text = f"k: {style}1+ # why\n" + "".join(f" {line}\n" for line in lines)
    source = sound(text)
    assert isinstance(source.data, dict)
    value = source.data["k"]
    assert isinstance(value, str)
    written = text.split("\n")
    for offset, character in enumerate(value):
        if not character.isspace():
            line, column = source.locate(("k",), offset)
            assert written[line - 1][column - 1] == character
            assert line > 1


@settings(max_examples=examples(300))
@given(st.binary(max_size=60) | st.text("&a*:-[]{}!|>'\"\n <,?#%", max_size=40).map(str.encode))
def test_load_never_raises(raw: bytes) -> None:
    source, found = load(raw, "book.yaml")
    assert source is not None or found
    assert all("\n" not in str(finding) for finding in found)


def test_a_large_block_loads_and_locates_fast() -> None:
    line = "  and the ferry came, slow and late, “as ever”, said the man who sold the tickets\n"
    text = "title: T\ntext: |\n" + line * 9000
    begun = time.monotonic()
    source = sound(text)
    loaded = time.monotonic()
    for offset in range(0, 700_000, 20):
        source.locate(("text",), offset)
    located = time.monotonic()
    assert loaded - begun < 20  # 0.01 s where it is quiet
    assert located - loaded < 20  # 0.1 s
    assert source.locate(("text",), (len(line) - 2) * 8999) == (9002, 3)
