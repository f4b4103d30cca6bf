"""Rules 1 are pinned: books that were begun with them keep every piece, so that their takes stay valid."""

import hashlib
from pathlib import Path

import pytest

from maya_batch.manifest import read_manuscript
from maya_batch.text.chunking import chunk_script
from maya_batch.text.emotion_tags import MAYA1_TAGS
from maya_batch.text.parser import parse_script

DEMO = Path(__file__).parents[2] / "manifests" / "demo.yaml"

# fmt: off
WORDS = [
    "the", "old man", "went to", "Mr. Smith", "Ms. Alder", "“No.”", "vol. 3", "and so", "(a)", "he said,",
    "it was", "late.", "Then", "a.m.", "U.S. Army", "thirteen per cent.", "of it;", "who", "J. R.", "Tolkien",
    "1.", "Eggs", "<sigh>", "well—", "so", "“Mr. Vane!”", "she cried.", "5", "wait...", "for", "Henry VIII.",
    "漢字。仮名。", "–", "no --", "--yes", "Ph.D.",
]
# fmt: on


def mixed(step: int, count: int) -> str:
    """Words in an order without a pattern, some in paragraphs of their own."""
    at, parts = step, []
    for number in range(count):
        at = (at * 31 + step + number) % 1009
        parts.append(WORDS[at % len(WORDS)] + ("\n\n" if at % 97 == 0 else " "))
    return "".join(parts)


TEXTS = {
    "mixed": mixed(7, 1000),
    "no full stops": mixed(11, 1000).replace(".", "").replace("\n\n", " "),
    "quoted": "“" + mixed(13, 1000).replace("\n\n", "”\n\n“") + "”",
}


def digest(source: str, voices: list[str]) -> str:
    passages, _ = parse_script(source, voices, MAYA1_TAGS, rules=1)
    found = hashlib.sha256()
    for words, length in ((5, 400), (12, 60), (40, 2000)):

        def fits(text: str, _voice: str | None, most: int = length) -> bool:
            return len(text) <= most

        pieces, _ = chunk_script(source, passages, words=words, fits=fits, language="en", rules=1)
        for piece in pieces:
            found.update(f"{piece.start} {piece.end} {piece.words} {piece.text}\n".encode())
    return found.hexdigest()[:16]


def test_the_pieces_of_the_demo_book_by_rules_1_stay_as_they_are() -> None:
    manuscript, _ = read_manuscript(DEMO)
    assert manuscript is not None
    digests = [digest(chapter.text, list(manuscript.book.voices)) for chapter in manuscript.chapters]
    assert digests == ["6be3543175c75ce6", "b20ccc64097940a7"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("mixed", "464e221d7b536631"), ("no full stops", "cd66271bb16a88f5"), ("quoted", "94bcf63f0841815a")],
)
def test_the_pieces_of_texts_by_rules_1_stay_as_they_are(name: str, expected: str) -> None:
    assert digest(TEXTS[name], []) == expected
