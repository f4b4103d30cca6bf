"""A page with an element around each sentence has the same text, and the same elements but for divided inline ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from maya_batch.epub3.marked_page import Mark, mark_page
from maya_batch.epub3.page_text import Run, runs
from maya_batch.epub3.sentence_places import sentence_places

XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'


def page(body: str) -> etree._Element:
    return etree.fromstring(f"<html {XHTML}><head><title>T</title></head><body>{body}</body></html>")


def body_of(root: etree._Element) -> str:
    text = etree.tostring(root[1], encoding="unicode").replace(f" {XHTML}", "")
    return text.removeprefix("<body>").removesuffix("</body>")


def marked(body: str, *sentences: str) -> str:
    root = page(body)
    found = list(runs(root, {"/html/body": "chapter"}))
    places = sentence_places(sentences, found)
    mark_page([(found[p.run], Mark(p.start, p.end, f"s{n}")) for n, p in enumerate(places, 1)])
    return body_of(root).replace('<span id="s', '<span id="s')


@pytest.mark.parametrize(
    ("body", "sentences", "expected"),
    [
        (
            "<p>“Come in.” He did.</p>",
            ["“Come in.”", "He did."],
            '<p><span id="s1">“Come in.”</span> <span id="s2">He did.</span></p>',
        ),
        (
            "<p><i>One. Two.</i> Three.</p>",
            ["One.", "Two.", "Three."],
            '<p><i><span id="s1">One.</span> <span id="s2">Two.</span></i> <span id="s3">Three.</span></p>',
        ),
        (
            '<p>He <em id="e">said no. Then</em> he went.</p>',
            ["He said no.", "Then he went."],
            '<p><span id="s1">He <em id="e">said no.</em></span><em> </em><span id="s2"><em>Then</em> he went.</span>'
            "</p>",
        ),
        (
            "<p>Verse<br/>and line.<a href='#n'>1</a> Next.</p>",
            ["Verse and line.", "Next."],
            '<p><span id="s1">Verse<br/>and line.<a href="#n">1</a></span> <span id="s2">Next.</span></p>',
        ),
        (
            "<div><p>A line</p>\n<p>and another.</p></div>",
            ["A line and another."],
            '<div><p><span id="s1">A line</span></p>\n<p><span id="s2">and another.</span></p></div>',
        ),
        (
            "<div>Before. <p>Inside.</p> After<b>wards</b>.</div>",
            ["Before.", "Inside.", "Afterwards."],
            '<div><span id="s1">Before.</span> <p><span id="s2">Inside.</span></p> '
            '<span id="s3">After<b>wards</b>.</span></div>',
        ),
        (
            "<p><b></b><img/><b>One.</b><img/> Two.</p>",
            ["One.", "Two."],
            '<p><b/><img/><span id="s1"><b>One.</b></span><img/> <span id="s2">Two.</span></p>',
        ),
        (
            "<p><ruby>漢<rt>kan</rt></ruby>字。</p>",
            ["漢字。"],
            '<p><span id="s1"><ruby>漢<rt>kan</rt></ruby>字。</span></p>',
        ),
        (
            "<p>He said <ruby>yes. No<rt>x</rt></ruby> way. The end.</p>",
            ["He said yes.", "No way.", "The end."],
            '<p><span id="s1">He said <ruby>yes. No<rt>x</rt></ruby> way.</span> <span id="s3">The end.</span></p>',
        ),
        (
            "<p><ruby>Yes. No. Well<rt>x</rt></ruby> then. <i>He <ruby>went. She</ruby> came.</i></p>",
            ["Yes.", "No.", "Well then.", "He went.", "She came."],
            '<p><span id="s1"><ruby>Yes. No. Well<rt>x</rt></ruby> then.</span> '
            '<span id="s4"><i>He <ruby>went. She</ruby> came.</i></span></p>',
        ),
        (
            "<p><ruby>Yes.</ruby><ruby>No.</ruby></p>",
            ["Yes.", "No."],
            '<p><span id="s1"><ruby>Yes.</ruby></span><span id="s2"><ruby>No.</ruby></span></p>',
        ),
        (
            "<p>A\u0301gnes. De\u0301ja\u0300 vu. Cafe\u0301.</p>",
            ["\xc1gnes.", "D\xe9j\xe0 vu.", "Caf\xe9."],
            '<p><span id="s1">A\u0301gnes.</span> <span id="s2">De\u0301ja\u0300 vu.</span> '
            '<span id="s3">Cafe\u0301.</span></p>',
        ),
        ("<p>Un\xadseen e\ufb03cient. Left out. End.</p>", ["Unseen efficient.", "End."], None),
    ],
)
def test_sentences_become_elements(body: str, sentences: list[str], expected: str | None) -> None:
    found = marked(body, *sentences)
    if expected is not None:
        assert found == expected
    assert "".join(page(found).itertext()) == "".join(page(body).itertext())


RUBIES = ("<ruby>One. Two</ruby>", "<ruby>漢<rt>kan</rt>字。<rt>ji</rt>元</ruby>")
INLINE = st.recursive(
    st.sampled_from(["One. ", "Two two. ", "three ", "“Four!” ", "<br/>", "<img/>", "", *RUBIES]),
    lambda inner: st.builds(
        "<{0}>{1}</{0}>".format, st.sampled_from(["i", "b", "a", "span"]), st.lists(inner, max_size=3).map("".join)
    ),
    max_leaves=6,
)
BLOCK = st.builds(
    "<{0}>{1}</{0}>".format, st.sampled_from(["p", "div", "li"]), st.lists(INLINE, max_size=3).map("".join)
)


@given(st.lists(st.one_of(BLOCK, INLINE), max_size=4).map("".join), st.data())
def test_no_page_loses_text_or_blocks(body: str, data: st.DataObject) -> None:
    root = page(f"<div>{body}</div>")
    before = ("".join(root.itertext()), [e.tag for e in root.iter("{*}p", "{*}div", "{*}li", "{*}img", "{*}br")])
    found = list(runs(root, {}))
    marks: list[tuple[Run, Mark]] = []
    for run in found:
        edges = sorted(data.draw(st.sets(st.integers(0, len(run.text)), max_size=6)))
        pairs = list(zip(edges[::2], edges[1::2], strict=False))
        marks += [(run, Mark(low, high, f"s{len(marks) + n}")) for n, (low, high) in enumerate(pairs)]
    joined = mark_page(marks)
    after = ("".join(root.itertext()), [e.tag for e in root.iter("{*}p", "{*}div", "{*}li", "{*}img", "{*}br")])
    assert after == before
    spans = {e.get("id"): e for e in root.iter("{*}span") if (e.get("id") or "").startswith("s")}
    assert set(spans) == {mark.anchor for _, mark in marks} - set(joined)
    assert set(joined.values()) <= set(spans)
    for run, mark in marks:
        wanted = run.text[mark.start : mark.end].replace("\n", "")
        span = spans[joined.get(mark.anchor, mark.anchor)]
        text = "".join(span.xpath(".//text()[not(ancestor::*[local-name()='rt'])]"))
        if next(span.iter("{*}ruby"), None) is None:
            assert text == wanted
        else:
            assert wanted in text
