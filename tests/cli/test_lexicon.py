"""The commands that find, show, try and use the entries of a lexicon."""

import json
from collections.abc import Callable

import pytest

from tests.conftest import Said
from tests.support.fakes import FakeEngine, FakeTranscriber, TinyBook

Cli = Callable[..., Said]
TEXT = {
    "One": [
        "Then Mr. Brzezinski saw Hermione. <laugh> He told Hermione’s friend all, and Hermione left.",
        "[tom] Nobody saw Hermione at the NASA café, nor Brzezinski.",
    ],
    "Two": ["They were gone, and nobody saw them at the naïve man's house."],
}
LEXICON = [
    {"word": "Hermione", "respelling": "her-MY-oh-nee"},
    {"word": "Nobody", "respelling": "noh-body", "voice": "tom"},
    {"word": "Snape", "respelling": "snayp"},
]


@pytest.fixture
def book(tiny: TinyBook) -> TinyBook:
    tiny.write(TEXT, lexicon=LEXICON, normalize="off")
    return tiny


def test_chunks_are_shown_with_source_text_and_voice(book: TinyBook, cli: Cli) -> None:
    said = cli("plan", book.path, "--chunks")
    assert said.code == 0
    assert said.out.splitlines()[3:6] == [
        "1:2  tom",
        f"  source: {TEXT['One'][1]}",
        "  text:   noh-body saw her-MY-oh-nee at the NASA café, nor Brzezinski.",
    ]
    data = json.loads(cli("plan", book.path, "--chunks", "--json").out)
    assert data.keys() == {"chunks"}
    assert [chunk.keys() for chunk in data["chunks"]] == [{"ref", "voice", "source", "text", "words", "pause"}] * 3
    chapters = ["\n\n".join(paragraphs) for paragraphs in TEXT.values()]
    assert "".join(chunk["source"] for chunk in data["chunks"]) == "".join(chapters)


def test_changes_are_shown_with_rule_and_place_and_counted(book: TinyBook, cli: Cli) -> None:
    said = cli("plan", book.path, "--show-text")
    assert said.code == 0
    lines = said.out.splitlines()
    assert len(lines) == 5 + 3
    assert lines[0].endswith("  1:1  lexicon  'Hermione' -> 'her-MY-oh-nee'")
    assert lines[0].startswith(f"{book.path}:")
    assert lines[3].endswith("  1:2  lexicon  'Nobody' -> 'noh-body'")
    assert lines[5:7] == ["5 changes: 5 by lexicon", "lexicon: 2 of 3 entries used in 5 places"]
    assert lines[7].endswith(": Snape")
    data = json.loads(cli("plan", book.path, "--show-text", "--chunks", "--json").out)
    assert data.keys() == {"chunks", "changes", "counts", "lexicon"}
    assert data["changes"][0].keys() == {"ref", "rule", "file", "line", "column", "written", "spoken"}
    assert data["counts"] == {"lexicon": 5}
    assert data["lexicon"].keys() == {"entries", "used", "places", "unused"}


def test_a_text_without_changes_says_so(tiny: TinyBook, cli: Cli) -> None:
    tiny.write({"One": ["Fine talk."]})
    assert cli("plan", tiny.path, "--show-text").out == "the text is spoken as it is written\n"


def test_the_plan_names_unused_entries(book: TinyBook, cli: Cli) -> None:
    said = cli("plan", book.path)
    assert "lexicon: 2 of 3 entries used in 5 places; not used: " in said.out
    assert json.loads(cli("plan", book.path, "--json").out)["lexicon"]["used"] == 2
    assert "lexicon: " not in cli("status", book.path).out


def test_names_and_unusual_words_are_listed_by_count(book: TinyBook, cli: Cli) -> None:
    data = json.loads(cli("words", book.path, "--json").out)
    assert data["total"] == 5
    assert [(word["word"], word["count"], word["kind"], word["ref"]) for word in data["words"]] == [
        ("Hermione", 4, "name", "1:1"),
        ("Brzezinski", 2, "name", "1:1"),
        ("café", 1, "letters", "1:2"),
        ("NASA", 1, "capitals", "1:2"),
        ("naïve", 1, "letters", "2:1"),
    ]
    assert data["words"][0]["sentence"] == "Then Mr. Brzezinski saw Hermione."
    assert [word["respelling"] for word in data["words"]] == ["her-MY-oh-nee", None, None, None, None]
    said = cli("words", book.path, "-n", "1")
    assert said.code == 0
    assert said.out.splitlines() == [
        "     4  Hermione  name         1:1  Then Mr. Brzezinski saw Hermione.  (in the lexicon: her-MY-oh-nee)",
        "4 more words; -n sets how many are shown",
    ]


def test_a_book_without_names_says_so(tiny: TinyBook, cli: Cli) -> None:
    tiny.write({"One": ["Fine talk."]})
    assert cli("words", tiny.path).out == "no names, and no words with unusual letters\n"


def test_a_word_is_spoken_in_its_sentences_as_each_respelling(
    book: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    said = cli("audition", book.path, "--word", "hermione", "--respelling", "Hermy", "--respelling", "her my")
    assert said.code in (0, 3)
    folder = book.folder / "book-audition"
    assert sorted(path.name for path in folder.iterdir()) == [
        "hermione-her-my-oh-nee.wav",
        "hermione-her-my.wav",
        "hermione-hermy.wav",
    ]
    assert fake_engine.texts[:3] == [
        "Then Mr. Brzezinski saw her-MY-oh-nee.",
        "<laugh> He told her-MY-oh-nee’s friend all, and her-MY-oh-nee left.",
        "noh-body saw her-MY-oh-nee at the NASA café, nor Brzezinski.",
    ]
    assert fake_engine.texts[5] == "noh-body saw Hermy at the NASA café, nor Brzezinski."
    assert fake_engine.texts[6] == "Then Mr. Brzezinski saw Her my."
    assert fake_engine.requests[2].description != fake_engine.requests[0].description
    assert not book.output.exists()


def test_a_word_may_be_spoken_by_one_voice(book: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    assert cli("audition", book.path, "--voice", "anna", "--word", "Brzezinski").code in (0, 3)
    assert [path.name for path in (book.folder / "book-audition").iterdir()] == ["brzezinski-as-written.wav"]
    assert fake_engine.texts == [
        "Then Mr. Brzezinski saw her-MY-oh-nee.",
        "Nobody saw her-MY-oh-nee at the NASA café, nor Brzezinski.",
    ]
    assert len({request.description for request in fake_engine.requests}) == 1


def test_a_word_is_spoken_in_sentences_that_are_written_out_as_in_the_book(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    tiny.write({"One": ["Then Mr. Snape paid 12 shillings."]}, lexicon=LEXICON)
    assert cli("render", tiny.path).code in (0, 3)
    in_book = fake_engine.texts[-1]
    assert cli("audition", tiny.path, "--word", "Snape").code in (0, 3)
    assert fake_engine.texts[-1] == in_book == "Then Mister snayp paid twelve shillings."


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "--voice names the voice to speak, and --word a word; add one of the two"),
        (["--voice", "anna", "--respelling", "x"], "--respelling needs --word"),
        (["--word", "Hermione", "--seeds", "2"], "leave out --seeds and --text"),
        (["--word", "Hermione", "--voice", "ana"], "--voice 'ana': did you mean `anna`?"),
        (["--word", "Draco"], "--word 'Draco': the book has no such word"),
        (["--word", "Hermione", "--respelling", "<x>"], "--respelling: the respelling '<x>' contains <"),
        (["--word", ""], "--word: the word is empty"),
    ],
)
def test_what_cannot_be_spoken_is_refused(flags: list[str], told: str, book: TinyBook, cli: Cli) -> None:
    said = cli("audition", book.path, *flags)
    assert said.code == 2
    assert told in said.err
    assert len(said.err.splitlines()) == 1


def test_a_render_checks_takes_against_both_spellings_and_reports_the_lexicon(
    book: TinyBook, fake_engine: FakeEngine, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maya_batch.quality.recognizers.recognizer_ready", lambda name: True)
    transcriber = FakeTranscriber(book.loaders)
    assert cli("render", book.path).code in (0, 3)
    heard = dict(zip(transcriber.listened, transcriber.respellings, strict=True))
    assert heard["noh-body saw her-MY-oh-nee at the NASA café, nor Brzezinski."] == {
        "noh-body": "Nobody",
        "her-MY-oh-nee": "Hermione",
    }
    report = json.loads((book.output / "report.json").read_text(encoding="utf-8"))
    assert (report["lexicon"]["used"], len(report["lexicon"]["unused"])) == (2, 1)
