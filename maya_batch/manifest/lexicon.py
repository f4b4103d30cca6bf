"""Reads the book's lexicon, from its CSV file or from the manifest itself, and checks its entries."""

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from maya_batch.errors import Finding
from maya_batch.manifest.book_file import read_book_file
from maya_batch.manifest.checks import Checker
from maya_batch.manifest.csv_places import CsvError, CsvField, csv_rows
from maya_batch.manifest.error_recovery import suggestion
from maya_batch.manifest.source_text import Lines
from maya_batch.manifest.yaml_positions import DataPath
from maya_batch.messages.quoting import quoted

MOST_ENTRIES = 10_000
"""The most entries of a lexicon: more words than a long novel has names."""
LONGEST_WORD, LONGEST_RESPELLING = 100, 200
"""The longest word or phrase, and the longest respelling, in characters."""
COLUMNS = ("word", "respelling", "voice", "case")
"""The columns of the file; the last two may be left out."""

#: Characters with a meaning in texts: of tags, voices and escapes.
_MARKUP = frozenset("<>[]\\")
#: Control, format and surrogate characters, line and paragraph separators.
_UNFIT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@dataclass(frozen=True)
class LexiconEntry:
    """A word or phrase, and what is spoken for it."""

    word: str
    respelling: str
    voice: str | None
    """The only voice that it is for; None: all voices."""
    exact: bool
    """Whether capitals and small letters must be as in `word`."""
    place: tuple[str, int, int]
    """File as shown, line and column, from 1, of the word."""


def word_mistake(word: str) -> tuple[str, str] | None:
    """What is wrong with a word or phrase of a lexicon, and how to fix it; None if it is valid."""
    return _mistake(word, "word", LONGEST_WORD)


def respelling_mistake(respelling: str) -> tuple[str, str] | None:
    """What is wrong with a respelling, and how to fix it; None if it is valid."""
    return _mistake(respelling, "respelling", LONGEST_RESPELLING)


def read_lexicon(checker: Checker, given: Path) -> tuple[tuple[LexiconEntry, ...], list[Finding]]:
    """The entries of the book's lexicon in order, none if it has no lexicon, and their mistakes.

    `given` is the manifest's folder, not resolved.
    """
    lexicon = checker.book.lexicon
    if isinstance(lexicon, str):
        shown = str(given / lexicon)
        text, findings = read_book_file(checker, ("lexicon",), lexicon, shown, "the lexicon")
        if findings:
            return (), findings
        return _read(checker, _of_file(text, shown), lambda: checker.finding(("lexicon",), *_too_many()))
    if lexicon is None:
        return (), []
    if isinstance(lexicon, Mapping):
        rows = _of_mapping(checker, lexicon)
    else:
        rows = (
            _Row(
                {"word": item.word, "respelling": item.respelling, "voice": item.voice or "", "case": item.case or ""},
                _places(checker, index),
            )
            for index, item in enumerate(lexicon)
        )
    return _read(checker, rows, lambda: checker.finding(("lexicon",), *_too_many()))


@dataclass(frozen=True)
class _Row:
    """The fields of an entry by name, and the place of each."""

    fields: Mapping[str, str]
    place: Callable[[str], tuple[str, int, int]]


def _read(
    checker: Checker, rows: Iterator[_Row | Finding], too_many: Callable[[], Finding]
) -> tuple[tuple[LexiconEntry, ...], list[Finding]]:
    entries: list[LexiconEntry] = []
    findings: list[Finding] = []
    for row in rows:
        if isinstance(row, Finding):
            findings.append(row)
            continue
        if len(entries) == MOST_ENTRIES or len(findings) > MOST_ENTRIES:
            return (), [*findings, too_many()]
        mistakes = list(_mistakes(checker, row))
        findings += mistakes
        if not mistakes:
            fields = row.fields
            exact, voice = fields["case"] == "exact", fields["voice"] or None
            entries.append(LexiconEntry(fields["word"], fields["respelling"], voice, exact, row.place("word")))
    return tuple(entries), findings


def _mistakes(checker: Checker, row: _Row) -> Iterator[Finding]:
    for name, check in (("word", word_mistake), ("respelling", respelling_mistake)):
        found = check(row.fields[name])
        if found is not None:
            yield Finding(*row.place(name), *found)
    voice, case, voices = row.fields["voice"], row.fields["case"], checker.voice_names()
    if voice and voices and voice not in voices:
        yield Finding(
            *row.place("voice"), f"unknown voice {quoted(voice)}", suggestion(voice, voices, "the book's voices")
        )
    if case not in ("", "exact"):
        yield Finding(*row.place("case"), f"`case` cannot be {quoted(case)}", "write `exact`, or leave it empty")


def _of_file(text: str, file: str) -> Iterator[_Row | Finding]:
    """The rows of a CSV file, and the mistakes of its form."""
    lines = Lines(text)

    def finding(offset: int, what: str, mend: str) -> Finding:
        return Finding(file, *lines.place(offset), what, mend)

    try:
        rows = csv_rows(text)
        names: list[str] | None = None
        for row in rows:
            if names is None:
                names = [field.text for field in row]
                wrong = [
                    finding(field.offset, *found)
                    for index, field in enumerate(row)
                    if (found := _name_mistake(field, names[:index]))
                ]
                for name in COLUMNS[:2]:
                    if name not in names and not wrong:
                        what = f"the first line must name the columns, and names no `{name}`"
                        wrong.append(finding(row[0].offset, what, "write `word,respelling` there"))
                if wrong:
                    yield from wrong
                    return
                continue
            if len(row) > len(names):
                what = f"the line has more fields than the first line, which names {len(names)}"
                yield finding(row[len(names)].offset, what, "put quotes around a field that contains a comma")
                continue
            yield _csv_row(names, row, lambda offset: (file, *lines.place(offset)))
        if names is None:
            yield finding(0, "the lexicon is empty", "write `word,respelling` in the first line")
    except CsvError as error:
        yield finding(error.offset, error.what, error.mend)


def _csv_row(names: list[str], row: list[CsvField], place: Callable[[int], tuple[str, int, int]]) -> _Row:
    fields = dict(zip(names, row, strict=False))
    end = row[-1]
    return _Row(
        {name: fields[name].text if name in fields else "" for name in COLUMNS},
        lambda name: place(fields.get(name, end).offset),
    )


def _name_mistake(field: CsvField, before: list[str]) -> tuple[str, str] | None:
    """What is wrong with a column's name, after those `before` it."""
    if field.text not in COLUMNS:
        mend = "separate the columns by commas" if ";" in field.text or "\t" in field.text else ""
        return f"unknown column {quoted(field.text)}", mend or suggestion(field.text, COLUMNS, "the columns")
    return (f"the column `{field.text}` is repeated", "remove one") if field.text in before else None


def _of_mapping(checker: Checker, lexicon: Mapping[str, str]) -> Iterator[_Row]:
    for word, respelling in lexicon.items():
        path: DataPath = ("lexicon", word)

        def place(name: str, path: DataPath = path) -> tuple[str, int, int]:
            at = checker.source.key_place(path) if name == "word" else checker.source.place(path)
            return checker.file, *at

        yield _Row({"word": word.strip(), "respelling": respelling.strip(), "voice": "", "case": ""}, place)


def _places(checker: Checker, index: int) -> Callable[[str], tuple[str, int, int]]:
    return lambda name: (checker.file, *checker.source.place(("lexicon", index, name)))


def _too_many() -> tuple[str, str]:
    return f"the lexicon has more than {MOST_ENTRIES:,} entries", "remove those that the book does not need"


def _mistake(text: str, name: str, longest: int) -> tuple[str, str] | None:
    if not text:
        return f"the {name} is empty", f"write a {name}, or delete the entry"
    if len(text) > longest:
        return f"the {name} {quoted(text)} has {len(text)} characters; the limit is {longest}", ""
    for character in text:
        if character in _MARKUP:
            return f"the {name} {quoted(text)} contains {character}, which is a mark of texts", "delete it"
        if unicodedata.category(character) in _UNFIT:
            return f"the {name} contains the control character U+{ord(character):04X}", "delete it"
    if not any(character.isalnum() for character in text):
        return f"the {name} {quoted(text)} has no letter or digit", ""
    return None
