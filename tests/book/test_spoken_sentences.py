"""The sentences of a book are told apart as they are written, each with the chunk that speaks it."""

import pytest

from maya_batch.book.spoken_sentences import SpokenSentence, chapter_sentences
from tests.support.fakes import TinyBook


def sentences(tiny: TinyBook, *paragraphs: str, **more: object) -> list[SpokenSentence]:
    tiny.write({"One": paragraphs}, **more)
    plan = tiny.plan()
    [chapter] = plan.chapters
    found = chapter_sentences(plan, chapter)
    assert [sentence.chunk for sentence in found] == sorted((s.chunk for s in found), key=lambda chunk: chunk.index)
    assert {sentence.chunk.index for sentence in found} == {chunk.index for chunk in chapter.chunks}
    return found


def written(tiny: TinyBook, *paragraphs: str, **more: object) -> list[str]:
    return [sentence.text for sentence in sentences(tiny, *paragraphs, **more)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The night was dark. Who goes there? No man.", ["The night was dark.", "Who goes there?", "No man."]),
        ("Mr. Lee came at 5 p.m. on Monday. He left.", ["Mr. Lee came at 5 p.m. on Monday.", "He left."]),
        (r"[tom] “Come \[in\].” [anna] He did.", ["“Come [in].”", "He did."]),
        ("<sigh> So it _was_. It's *late*. <laugh>", ["So it was.", "It's late."]),
        ("[tom] <laugh>", ["[laugh]"]),
        ("Wait! . . . He ran.", ["Wait! . . .", "He ran."]),
        ("“No!” she cried. “Go away!”", ["“No!” she cried.", "“Go away!”"]),
        ("So much depends\nUpon a red wheel\nGlazed with rain", ["So much depends Upon a red wheel Glazed with rain"]),
    ],
)
def test_sentences_are_as_they_are_written(tiny: TinyBook, text: str, expected: list[str]) -> None:
    assert written(tiny, text) == expected


def test_a_span_is_where_the_sentence_stands_in_the_text(tiny: TinyBook) -> None:
    text = r"[tom] In 1984 he *left* \[home\].  [anna] Then it was 5." + "\n\nIt was\nlate."
    found = sentences(tiny, text)
    spans = [sentence.span for sentence in found if sentence.span is not None]
    assert [text[start:end] for start, end in spans] == [
        r"In 1984 he *left* \[home\].",
        "Then it was 5.",
        "It was\nlate.",
    ]
    assert found[1].spoken == "Then it was five."


def test_a_long_sentence_is_divided_where_its_chunks_are(tiny: TinyBook) -> None:
    text = ", ".join(f"and the {name} went on and on" for name in ("first", "second", "third", "fourth")) + "."
    found = sentences(tiny, text, render={"model": "./lm", "codec": "./codec", "chunk_words": 10})
    assert len(found) == len({sentence.chunk.index for sentence in found}) > 1
    assert " ".join(sentence.text for sentence in found) == text


def test_a_title_that_is_announced_comes_first_and_stands_nowhere_in_the_text(tiny: TinyBook) -> None:
    tiny.write({"Part 1: Who?": ["It was late."], "2": ["So it was."]}, announce=True)
    plan = tiny.plan()
    found = [[(s.text, s.span) for s in chapter_sentences(plan, chapter)] for chapter in plan.chapters]
    assert found == [[("Part 1: Who?", None), ("It was late.", (0, 12))], [("2.", None), ("So it was.", (0, 10))]]
