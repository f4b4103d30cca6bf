import re

import pytest

from maya_batch.book.chunk import Chunk
from maya_batch.book.chunk_refs import find_chunks
from maya_batch.book.plan import Plan
from maya_batch.errors import UsageError
from tests.support.fakes import TinyBook

TEXT = {"One": ["A first line.", "A second line.", "A third line."], "Two": ["The end."]}
KEYS = {"A first line.": "aaaa1", "A second line.": "bbbb2", "A third line.": "cccc3", "The end.": "bbbb4"}


@pytest.fixture
def plan(tiny: TinyBook) -> Plan:
    tiny.write(TEXT)
    return tiny.plan()


def key_of(chunk: Chunk) -> str:
    return KEYS[chunk.text]


@pytest.mark.parametrize(
    ("refs", "found"),
    [
        (["1:2"], ["1:2"]),
        (["1:2-3"], ["1:2", "1:3"]),
        (["1:3-3"], ["1:3"]),
        (["2:1", "1:1"], ["2:1", "1:1"]),
        (["1:2", "1:1-3", "1:2@bbbb"], ["1:2", "1:1", "1:3"]),
        (["1:2@BBBB2"], ["1:2"]),
        (["01:02"], ["1:2"]),
    ],
)
def test_a_ref_names_its_chunks_each_once(refs: list[str], found: list[str], plan: Plan) -> None:
    assert [chunk.ref for chunk in find_chunks(refs, plan, key_of)] == found


@pytest.mark.parametrize(
    "ref", ["", "3", "1:", ":1", "1:a", "a:1", "1:-2", "1:1-", "1:1@", "1:1@abc", "1:1@wxyz", "1:²"]
)
def test_what_is_no_ref_is_refused_with_the_forms_there_are(ref: str, plan: Plan) -> None:
    message = f"{ref!r} is not a chunk; write 3:17 (chapter 3, chunk 17), 3:20-25, or 3:17@a1b2"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        find_chunks(["1:1", ref], plan, key_of)


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("3:1", "3:1: there is no chapter 3; the book has chapters 1 to 2"),
        ("0:1", "0:1: there is no chapter 0; the book has chapters 1 to 2"),
        ("1:4", "1:4: there is no chunk 1:4; chapter 1 has chunks 1 to 3"),
        ("1:0", "1:0: there is no chunk 1:0; chapter 1 has chunks 1 to 3"),
        ("1:2-9", "1:2-9: there is no chunk 1:9; chapter 1 has chunks 1 to 3"),
        ("1:3-2", "1:3-2 runs backwards; write 1:2-3"),
        ("1:1-2@aaaa", "1:1-2@aaaa: the part after @ belongs to one chunk and cannot follow a range; leave it out"),
    ],
)
def test_a_ref_to_what_is_not_there_says_what_is(ref: str, message: str, plan: Plan) -> None:
    with pytest.raises(UsageError) as refused:
        find_chunks([ref], plan, key_of)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("1:1@cccc", "1:1@cccc is now 1:3; 1:1 now reads 'A first line.'"),
        ("1:1@bbbb", "1:1@bbbb is now 1:2 or 2:1; 1:1 now reads 'A first line.'"),
        ("1:9@cccc", "1:9@cccc is now 1:3; there is no chunk 1:9 any more"),
        ("1:0@cccc", "1:0@cccc is now 1:3; there is no chunk 1:0 any more"),
        (
            "1:1@dddd",
            "1:1@dddd: this chunk was edited, or its settings changed; 1:1 now reads 'A first line.'",
        ),
    ],
)
def test_a_key_that_fits_no_more_is_refused_and_the_chunk_looked_for(ref: str, message: str, plan: Plan) -> None:
    with pytest.raises(UsageError) as refused:
        find_chunks([ref], plan, key_of)
    assert str(refused.value) == message


def test_of_a_long_text_the_beginning_is_shown(tiny: TinyBook) -> None:
    tiny.write({"One": ["The " + "very " * 20 + "end."]})
    with pytest.raises(UsageError, match=r"1:1 now reads 'The (very )+…'$"):
        find_chunks(["1:1@dddd"], tiny.plan(), lambda chunk: "aaaa")
