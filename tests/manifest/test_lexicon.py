"""A book's lexicon is read from a CSV file or from the manifest; each mistake is told with its place."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from maya_batch.errors import ManifestError
from maya_batch.manifest import LexiconEntry, json_schema, read_manuscript
from maya_batch.manifest.lexicon import MOST_ENTRIES, respelling_mistake, word_mistake

HEAD = "title: T\nvoices: {anna: A voice, tom: Another}\nchapters:\n  - {title: One, text: Hello.}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The manifest's folder, which is the current one too."""
    folder = tmp_path / "book"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def read(lexicon: str, words: bytes | str | None = None) -> tuple[tuple[LexiconEntry, ...], list[str]]:
    """The entries and the mistakes of a book with these lines; `words` is the content of words.csv."""
    Path("book.yaml").write_text(HEAD + lexicon, encoding="utf-8")
    if words is not None:
        Path("words.csv").write_bytes(words.encode() if isinstance(words, str) else words)
    manuscript, findings = read_manuscript(Path("book.yaml"))
    assert manuscript is not None
    return manuscript.lexicon, [str(finding) for finding in ManifestError(findings).findings]


def of_file(words: bytes | str) -> tuple[tuple[LexiconEntry, ...], list[str]]:
    return read("lexicon: words.csv\n", words)


ANNA = LexiconEntry("Anna", "Ah-na", None, False, ("words.csv", 2, 1))
DOOM = LexiconEntry("Mount Doom", 'say "doom", slowly', "tom", True, ("words.csv", 4, 1))


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_a_file_has_quoted_fields_blank_lines_and_any_newlines(newline: str, bom: bytes) -> None:
    lines = ["word,respelling,voice,case", "Anna , Ah-na", "", '"Mount Doom","say ""doom"", slowly",tom,exact', ""]
    assert of_file(bom + newline.join(lines).encode()) == ((ANNA, DOOM), [])


def test_a_spreadsheets_blank_rows_are_left_out() -> None:
    entries, findings = of_file('word,respelling,voice,case\n,,,\nAnna,Ah-na,,\n , "",,\n,,,,,\n')
    assert (entries, findings) == ((LexiconEntry("Anna", "Ah-na", None, False, ("words.csv", 3, 1)),), [])


def test_columns_may_stand_in_any_order() -> None:
    entries, findings = of_file("case,respelling,word\nexact,Ah-na,Anna\n")
    assert findings == []
    assert entries == (LexiconEntry("Anna", "Ah-na", None, True, ("words.csv", 2, 13)),)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "1:1: the lexicon is empty"),
        ("word,Ah-na\n", "1:6: unknown column 'Ah-na'; the columns: word, respelling, voice, case"),
        ("word,Respelling\n", "1:6: unknown column 'Respelling'; did you mean `respelling`?"),
        ("word;respelling\nAnna;Ah-na\n", "1:1: unknown column 'word;respelling'; separate the columns by commas"),
        ("word,case\n", "1:1: the first line must name the columns, and names no `respelling`"),
        ("word,respelling,word\n", "1:17: the column `word` is repeated"),
        ("word,respelling\nAnna,Ah-na,tom\n", "2:12: the line has more fields than the first line, which names 2"),
        ("word,respelling\nAnna\n", "2:1: the respelling is empty"),
        ("word,respelling\n,Ah-na\n", "2:1: the word is empty"),
        ('word,respelling\nAnna,"Ah\n', "2:6: this quote is not closed"),
        ('word,respelling\nAnna,"Ah"na\n', "2:10: a comma or the end of the line must follow the closing quote"),
        ("word,respelling,voice\nAnna,Ah-na,ana\n", "2:12: unknown voice 'ana'; did you mean `anna`?"),
        ("word,respelling,voice,case\nAnna,Ah-na,,Exact\n", "2:13: `case` cannot be 'Exact'; write `exact`"),
        ("word,respelling\nAnna,<sigh> Ah\n", "2:6: the respelling '<sigh> Ah' contains <"),
        ("word,respelling\n[anna],Ah\n", "2:1: the word '[anna]' contains ["),
        ("word,respelling\nAnna,A\\h\n", "2:6: the respelling 'A\\\\h' contains \\"),
        ('word,respelling\nAnna,"A\nh"\n', "2:6: the respelling contains the control character U+000A"),
        ("word,respelling\nAnna,A\u202eh\n", "2:6: the respelling contains the control character U+202E"),
        ("word,respelling\n…,dots\n", "2:1: the word '…' has no letter or digit"),
        ("word,respelling\nAnna,—\n", "2:6: the respelling '—' has no letter or digit"),
        ("word,respelling\n" + "a" * 101 + ",b\n", "2:1: the word 'aaa"),
        ("word,respelling\nAnna,A\x00\n", "2:7: a NUL byte is not allowed"),
        (b"word,respelling\nZo\xe9,Zo\n", "2:3: not UTF-8"),
    ],
)
def test_each_mistake_of_a_file_is_told_with_its_place(words: str | bytes, told: str) -> None:
    entries, findings = of_file(words)
    assert entries == ()
    [line] = findings
    assert line.startswith(f"words.csv:{told}")


def test_all_mistakes_are_told_at_once_and_good_lines_are_read() -> None:
    entries, findings = of_file("word,respelling\n,x\nAnna,Ah-na\nTom,\nOtto,a,b\n")
    assert [entry.word for entry in entries] == ["Anna"]
    assert [line.partition(": ")[0] for line in findings] == ["words.csv:2:1", "words.csv:4:5", "words.csv:5:8"]


def test_the_file_is_inside_the_folder_and_bounded(folder: Path) -> None:
    (folder.parent / "words.csv").write_text("word,respelling\nAnna,Ah-na\n")
    (folder / "link.csv").symlink_to("../words.csv")
    for name, told in (
        ("../words.csv", "leads out of the manifest's folder"),
        ("link.csv", "leads out of the manifest's folder through a symbolic link"),
        ("/etc/passwd", "is not relative to the manifest's folder"),
        ("none.csv", "does not exist"),
        (".", "is a folder"),
    ):
        _, [line] = read(f"lexicon: {name}\n")
        assert line.startswith("book.yaml:5:10: the lexicon ")
        assert told in line
    rows = "".join(f"word{number},x\n" for number in range(MOST_ENTRIES))
    assert len(of_file("word,respelling\n" + rows)[0]) == MOST_ENTRIES
    entries, findings = of_file("word,respelling\n" + rows + "more,x\n")
    assert (entries, findings) == (
        (),
        ["book.yaml:5:10: the lexicon has more than 10,000 entries; remove those that the book does not need"],
    )


def test_entries_may_stand_in_the_manifest() -> None:
    entries, findings = read("lexicon:\n  Anna: Ah-na\n  1984: nineteen eighty-four\n")
    assert findings == []
    assert entries == (
        LexiconEntry("Anna", "Ah-na", None, False, ("book.yaml", 6, 3)),
        LexiconEntry("1984", "nineteen eighty-four", None, False, ("book.yaml", 7, 3)),
    )
    entries, findings = read("lexicon:\n  - {word: Anna, respelling: Ah-na, voice: tom, case: exact}\n")
    assert findings == []
    assert entries == (LexiconEntry("Anna", "Ah-na", "tom", True, ("book.yaml", 6, 12)),)


@pytest.mark.parametrize("lexicon", ["lexicon:\n", "lexicon: []\n", "lexicon: {}\n", ""])
def test_a_lexicon_may_be_empty(lexicon: str) -> None:
    assert read(lexicon) == ((), [])


@pytest.mark.parametrize(
    ("lexicon", "told"),
    [
        ("  Anna: [a]\n", ["6:9: `Anna` must be text, not a list"]),
        ("  Anna: A<b>\n", ["6:9: the respelling 'A<b>' contains <, which is a mark of texts; delete it"]),
        ("  A]a: Ah\n", ["6:3: the word 'A]a' contains ], which is a mark of texts; delete it"]),
        (
            "  - {word: Anna, respelling: Ah, kase: exact}\n",
            ["6:34: unknown key 'kase'; did you mean `case`? allowed here: word, respelling, voice, case"],
        ),
        ("  - {word: Anna}\n", ["6:5: `respelling` is missing; add `respelling:`"]),
        ("  - Anna\n", ["6:5: item 1 of `lexicon` must be a mapping (`key: value` lines), not 'Anna'"]),
        (
            "  - {word: Anna, respelling: Ah, voice: ana, case: lower}\n",
            ["6:52: `case` cannot be 'lower'; known: exact"],
        ),
        (
            "  - {word: Anna, respelling: Ah, voice: ana}\n",
            ["6:41: unknown voice 'ana'; did you mean `anna`? the book's voices: anna, tom"],
        ),
    ],
)
def test_mistakes_in_the_manifest_are_told_with_their_place(lexicon: str, told: list[str]) -> None:
    _, findings = read("lexicon:\n" + lexicon)
    assert findings == [f"book.yaml:{line}" for line in told]


@pytest.mark.parametrize(("value", "normal"), [("on", "on"), ("off", "off"), ("true", "on"), ("No", None), ("", "on")])
def test_normalize_is_on_or_off(value: str, normal: str | None) -> None:
    Path("book.yaml").write_text(HEAD + f"normalize: {value}\n")
    manuscript, findings = read_manuscript(Path("book.yaml"))
    assert manuscript is not None
    assert [finding.what for finding in findings] == ([] if normal else ["`normalize` cannot be 'No'"])
    assert manuscript.book.normalize == (normal or "on")


@pytest.mark.parametrize(
    "lines",
    [
        "lexicon: words.csv\nnormalize: on\n",
        "lexicon: {Anna: Ah-na, 12: twelve}\nnormalize: 'off'\n",
        "lexicon: [{word: Anna, respelling: Ah-na, case: exact}]\n",
    ],
)
def test_the_json_schema_accepts_each_form(lines: str) -> None:
    jsonschema.validate(yaml.safe_load(HEAD + lines.replace("12:", "'12':")), json_schema())


def test_the_json_schema_refuses_what_is_no_lexicon() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(HEAD + "lexicon: [{word: Anna}]\n"), json_schema())


def test_what_is_checked_in_a_word_is_checked_in_a_respelling_of_the_command_line() -> None:
    assert word_mistake("Mount Doom") is None
    assert respelling_mistake("her-MY-oh-nee") is None
    assert respelling_mistake("") == ("the respelling is empty", "write a respelling, or delete the entry")
