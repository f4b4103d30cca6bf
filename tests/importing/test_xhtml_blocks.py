"""XHTML and HTML -> blocks."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maya_batch.errors import UsageError
from maya_batch.importing.blocks import Block
from maya_batch.importing.xhtml_blocks import read_blocks
from tests.support.epubs import xhtml


def blocks(body: str, keep: frozenset[str] = frozenset()) -> list[Block]:
    reading = read_blocks(xhtml(body).encode(), "a.xhtml", keep=keep)
    assert reading.remarks == ()
    return list(reading.blocks)


def said(body: str) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in blocks(body)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<p>un<b>der</b>stand</p>", [("paragraph", "understand")]),
        ("<p>  a \n b\t<i> c</i> </p>", [("paragraph", "a b c")]),
        ("<p>a&nbsp;b</p><p>&nbsp;</p>", [("paragraph", "a\xa0b")]),
        ("<p>soft\xadly</p>", [("paragraph", "soft\xadly")]),
        ("<p>one<br/>two</p>", [("paragraph", "one two")]),
        ("<p>one<br/><br/>two</p>", [("paragraph", "one"), ("paragraph", "two")]),
        ("<div>before<p>in</p>after</div>", [("paragraph", "before"), ("paragraph", "in"), ("paragraph", "after")]),
        ("<p>One<br/>two<br/>three</p>", [("verse", "One\ntwo\nthree")]),
        ('<p class="poem">One<br/>two</p>', [("verse", "One\ntwo")]),
        (
            '<blockquote epub:type="z3998:verse"><p><span>A</span><br/><span>B</span></p></blockquote>',
            [("verse", "A\nB")],
        ),
        ('<div class="stanza"><p>A</p><p>B</p></div><p>C</p>', [("verse", "A\nB"), ("paragraph", "C")]),
        ('<div class="poem"><p>\n<span>A</span>\n<span>B</span>\n</p></div>', [("verse", "A\nB")]),
        ("<h1>CHAPTER I<br/>The House</h1>", [("heading", "CHAPTER I The House")]),
        ("<hgroup><h2>I</h2><p>The House</p></hgroup>", [("heading", "I: The House")]),
        ('<h2><img src="a.png" alt="Chapter One"/></h2>', [("heading", "Chapter One")]),
        ("<ul><li>a<ul><li><p>b</p></li></ul></li></ul>", [("list_item", "a"), ("list_item", "b")]),
        ("<table><tr><td>A</td><th>B</th></tr><tr><td>1</td><td><p>2</p></td></tr></table>", [("table", "A\tB\n1\t2")]),
        (
            "<table><caption>Sums</caption><tr><td>1</td><td>2</td></tr></table>",
            [("figure", "Sums"), ("table", "1\t2")],
        ),
        ("<table><tr><td><h1>A</h1><p>b</p></td></tr></table>", [("heading", "A"), ("paragraph", "b")]),
        ("<blockquote><p>a</p></blockquote>", [("quote", "a")]),
        ("<aside><h3>a</h3><p>b</p></aside>", [("sidebar", "a"), ("sidebar", "b")]),
        ('<aside epub:type="footnote"><p>1. a</p></aside>', [("note", "1. a")]),
        ('<div role="doc-endnotes"><h2>Notes</h2><p>a</p></div>', [("heading", "Notes"), ("note", "a")]),
        ('<div class="footnote"><p>a</p></div>', [("note", "a")]),
        (
            '<p>Wait.<sup><a id="r" href="#n">1</a></sup> Go.</p><p><a id="n" href="#r">1</a> Seen.</p>',
            [("paragraph", "Wait. Go."), ("note", "1 Seen.")],
        ),
        (
            '<p>Wait<a href="a.xhtml#n"><sup id="r">a</sup></a></p>'
            '<ol><li id="n"><p>b <a href="#r">up</a></p></li></ol>',
            [("paragraph", "Wait"), ("note", "b up")],
        ),
        (  # the link back may stand after a word, too; the note is what comes later
            '<p>Wait<a id="r" href="#n">[1]</a> Go<a id="q" href="#n">[1]</a></p>'
            '<p>Seen<a id="n" href="#r">[1]</a></p>',
            [("paragraph", "Wait Go"), ("note", "Seen")],
        ),
        (  # a list of verses, and each verse links back: no mark stands after a word
            '<p><a id="l1" href="#v1">1</a> <a id="l2" href="#v2">2</a></p>'
            '<p><a id="v1" href="#l1">1</a> In the beginning</p><p><a id="v2" href="#l2">2</a> Light</p>',
            [("paragraph", "1 2"), ("paragraph", "1 In the beginning"), ("paragraph", "2 Light")],
        ),
        (  # contents and their headings
            '<p>Part <a id="c" href="#h">1</a></p><div><h2><a id="h" href="#c">One</a></h2><p>a</p></div>',
            [("paragraph", "Part 1"), ("heading", "One"), ("paragraph", "a")],
        ),
        (
            '<p>See<a href="#n">1</a></p><p id="n">1. No link back</p>',
            [("paragraph", "See1"), ("paragraph", "1. No link back")],
        ),
        ("<pre>a\n  b</pre>", [("code", "a\n  b")]),
        ("<p>a</p><hr/><p>b</p>", [("paragraph", "a"), ("scene_break", ""), ("paragraph", "b")]),
        ("<p>* * *</p>", [("scene_break", "* * *")]),
        ("<p>“…”</p>", [("paragraph", "“…”")]),
        ('<p class="scene-break">&nbsp;</p>', [("scene_break", "")]),
        ('<p class="ornament"><img src="a.png" alt="A leaf"/></p>', [("scene_break", "")]),
        (
            '<figure><img src="a.png" alt="A map"/><figcaption>Here</figcaption></figure>',
            [("figure", ""), ("figure", "Here")],
        ),
        ('<figure><img src="a.png" alt="A map"/></figure>', [("figure", "A map")]),
        ('<p><span class="dropcap">T</span>HE house</p>', [("paragraph", "THE house")]),
        ('<p><img src="t.png" alt="T"/>HE house</p>', [("paragraph", "THE house")]),
        ('<div class="drop-cap">T</div><p>HE house</p>', [("paragraph", "THE house")]),
        ("<p>Wait<a href='#n1'><sup>1</sup></a>, he said</p>", [("paragraph", "Wait, he said")]),
        ("<p>Wait <sup><a href='#n1'>12</a></sup>.</p>", [("paragraph", "Wait.")]),
        ('<p>Wait<a epub:type="noteref" href="#n">*</a> now</p>', [("paragraph", "Wait now")]),
        ('<p>Wait<a role="doc-noteref" href="#n">3</a></p>', [("paragraph", "Wait")]),
        ("<p>Wait<a href='#Footnote_1' class='fnanchor'>[1]</a></p>", [("paragraph", "Wait")]),
        ("<p>see chapter <a href='#c12'>12</a>, E = mc<sup>2</sup></p>", [("paragraph", "see chapter 12, E = mc2")]),
        ('<p>one <span epub:type="pagebreak" title="5"/>two</p>', [("paragraph", "one two")]),
        ('<div epub:type="pagebreak">12</div><p>a</p>', [("page_break", "12"), ("paragraph", "a")]),
        ('<p>one <span class="pagenum">[Pg 12]</span>two</p>', [("paragraph", "one two")]),
        ("<p><ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp>字<rt>じ</rt></ruby>だ</p>", [("paragraph", "漢字だ")]),
        (
            '<p>a<span hidden="hidden">x</span>b</p><p style="display: none">y</p>',
            [("paragraph", "ab"), ("paragraph", "")],
        ),
        ('<p><span aria-hidden="true">T</span>HE</p>', [("paragraph", "THE")]),
        ("<p>for <math><mi>x</mi></math> only</p>", [("paragraph", "for x only")]),
        ('<math alttext="a over b"><mfrac><mi>a</mi><mi>b</mi></mfrac></math>', [("formula", "a over b")]),
        ("<p>He said <q>yes</q>.</p>", [("paragraph", "He said “yes”.")]),
        ("<script>var a</script><style>b</style><p>a</p>", [("paragraph", "a")]),
        ('<p ssml:ph="x" xmlns:ssml="http://www.w3.org/2001/10/synthesis">lead</p>', [("paragraph", "lead")]),
        ("<p>a<!-- no -->b<?no no?>c</p>", [("paragraph", "abc")]),
        ("<p>שלום עולם</p>", [("paragraph", "שלום עולם")]),
    ],
)
def test_each_structure_becomes_its_blocks(body: str, expected: list[tuple[str, str]]) -> None:
    assert said(body) == expected


def test_what_is_left_out_is_counted_by_reason() -> None:
    body = (
        "<p>One <a href='#n1'>[1]</a> two <span class='pagenum'>12</span><span hidden=''>dark</span>"
        "<ruby>b<rt>rt</rt></ruby> <img src='a' alt='A map'/></p>"
    )
    (block,) = blocks(body)
    assert block.text == "One two b"
    assert {**block.omitted, "white space": 0} == {
        "note mark": 3, "page number": 2, "hidden": 4, "ruby": 2, "alternative text": 5, "white space": 0,
    }  # fmt: skip


def test_what_is_left_out_can_be_kept() -> None:
    body = "<p>One<a href='#n1'>[1]</a><span class='pagenum'> 12</span><img src='a' alt=' map'/></p>"
    (block,) = blocks(body, keep=frozenset({"note mark", "page number", "alternative text"}))
    assert block.text == "One[1] 12 map"
    assert not block.omitted


def test_ids_roles_levels_and_places_are_known() -> None:
    first, second, item = blocks(
        '<section id="s" epub:type="bodymatter z3998:fiction"><a id="empty"/><h2 id="h">A</h2>'
        '<p><span id="in"/>b</p><ol><li><ol><li>c</li></ol></li></ol></section>'
    )
    assert first.ids == ("s", "empty", "h")
    assert first.roles == {"bodymatter", "fiction"}
    assert (first.level, item.level) == (2, 2)
    assert second.ids == ("in",)
    assert second.place.element == "/html/body/section[1]/p[1]"


def test_an_id_after_the_last_text_is_not_lost() -> None:
    assert blocks('<p>a</p><div id="end"/>')[-1].ids == ("end",)


@pytest.mark.parametrize(
    ("content", "expected", "remarked"),
    [
        (xhtml("<p>é</p>").encode("utf-8-sig"), "é", ""),
        (xhtml("<p>é</p>").replace("utf-8", "utf-16").encode("utf-16"), "é", ""),
        (xhtml("<p>é</p>").replace("utf-8", "utf-16").encode("utf-16-le"), "é", ""),
        (xhtml("<p>é “a”</p>").encode("cp1252"), "é “a”", "not UTF-8"),
        (xhtml("<p>é “a”</p>").replace("utf-8", "iso-8859-1").encode("cp1252"), "é “a”", ""),
        (b"<html><head><meta charset='windows-1251'></head><p>\xcf\xf0</html>", "Пр", ""),
        ("<p>日本</p>".encode() + b"<p>caf\xe9</p>", "日本", "not UTF-8"),
        (xhtml("<p>é</p>").replace("utf-8", "no-such").encode(), "é", "'no-such'"),
        (xhtml("<p>é</p>").replace("utf-8", "idna").encode(), "é", "'idna'"),
        (xhtml("<p>a\x96b</p>").encode(), "a–b", ""),
        (b"<p>a&#150;b&#xD800;</p>", "a–b\ufffd", ""),
    ],
)
def test_encodings_are_found(content: bytes, expected: str, remarked: str) -> None:
    reading = read_blocks(content, "a.xhtml")
    assert reading.blocks[0].text == expected
    assert bool(reading.remarks) == bool(remarked)
    assert remarked in "".join(reading.remarks)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("<html><head><title/></head><body><p>a</p></body></html>", ["a"]),
        ("<html><head><title/></head><body><p>a<b></p><p>c</p></body></html>", ["a", "c"]),
        ("<html><body><p>a</p></body></html>b", ["a", "b"]),
        ("<html><body><p>a</p></body><p>b</p></html>\n<!-- c --><p>c</p><p>d", ["a", "b", "c", "d"]),
        ("<p>a</p></BODY\n></html lang='en'><p>b", ["a", "b"]),
        ("<p>a</p></body-text><p>b</p></htm>", ["a", "b"]),
        (
            "<p>a<!-- </html> --> b</p><script>x = '</html>'</script><p><![CDATA[</html> c]]></p><br>",
            ["a b", "</html> c"],
        ),
        (2 * "<!DOCTYPE html><html><head><title>t</title></head><body><p>a</p></body></html>\n", ["a", "a"]),
        (2 * "<html><head><title>t</title></head><body><div><p>a</body></html>\n", ["a", "a"]),
        (f"<p>a</p><title>{201 * 'long '}</title><p>b", ["a", (201 * "long ").strip(), "b"]),
        ("<p>a<p>b &amp c", ["a", "b &amp c"]),
        ("<P>A</P>", ["A"]),
        ("<p>R&D &eacute;&hellip;</p>", ["R&D é…"]),
        ("<p>&nosuch; a</p>", ["&nosuch; a"]),
        ('<!DOCTYPE html [<!ENTITY a "bomb">]><p>&a; b</p>', ["&a; b"]),
        ("<p>a<![CDATA[<b> &amp;]]></p><p>c", ["a<b> &amp;", "c"]),
        ("", []),
        ("no tags at all", ["no tags at all"]),
        ("<p>a\x00\x01b\x0cc</p>", ["ab c"]),
        ("<dtbook><book><level1><h1>A</h1><p>b<pagenum>5</pagenum></p></level1></book></dtbook>", ["A", "b"]),
    ],
)
def test_broken_files_are_read_as_browsers_do(content: str, expected: list[str]) -> None:
    assert [block.text for block in read_blocks(content.encode(), "a.xhtml").blocks] == expected


def test_entities_of_a_document_type_are_never_expanded() -> None:
    levels = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    outside = '<!ENTITY x SYSTEM "file:///etc/passwd">'
    content = f'<!DOCTYPE html [<!ENTITY a0 "bomb">{levels}{outside}]><html><body><p>&a11;&x;</p></body></html>'
    reading = read_blocks(content.encode(), "a.xhtml")
    assert [block.text for block in reading.blocks] == ["&a11;&x;"]
    assert "undefined entities" in reading.remarks[0]


def test_deep_elements_are_read_and_deeper_ones_refused() -> None:
    assert said("<div>" * 1000 + "deep" + "</div>" * 1000 + "<p>after</p>") == [
        ("paragraph", "deep"),
        ("paragraph", "after"),
    ]
    for closing in ("</div>" * 50_000, ""):
        with pytest.raises(UsageError, match=r"^a\.xhtml: elements are nested more than 2,048 deep$"):
            read_blocks(xhtml("<div>" * 50_000 + "deep" + closing).encode(), "a.xhtml")


def test_a_long_text_without_tags_is_whole() -> None:
    words = "word " * 2_010_000  # libxml2 takes 10 million characters unless told otherwise
    assert len(blocks(f"<p>{words}</p>")[0].text) == len(words) - 1
    assert len(read_blocks(f"<p>{words}<p>end".encode(), "").blocks[0].text) == len(words) - 1


class _Text(HTMLParser):
    """The text of a file by another parser, without head and scripts."""

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.characters, self._skipped = "", 0
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skipped += tag in ("head", "script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._skipped -= tag in ("head", "script", "style")

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.characters += data


_TEXT = st.text(st.sampled_from("ab 1*.&<é\xa0\n\t“\u00ad漢"), max_size=12).map(
    lambda text: text.replace("&", "&amp;").replace("<", "&lt;")
)
_ALL_NAMES = """
p div span b h1 h3 blockquote li ul aside pre section sup ruby rt rp figure figcaption td tr table script style hgroup
math mi svg video
"""
_NAMES = st.sampled_from([*_ALL_NAMES.split(), "a href='#x'"])
_ALL_ATTRIBUTES = (
    "   hidden='' class='poem' class='pagenum' epub:type='pagebreak' epub:type='noteref' id='i' epub:type='footnote' "
    "class='scene-break' class='dropcap' style='display:none'"
)
_ATTRIBUTES = st.sampled_from([f" {attribute}" for attribute in _ALL_ATTRIBUTES.split(" ")])


def _element(inside: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def written(name: str, attributes: str, content: list[str]) -> str:
        inside = "".join(content)
        if name in ("script", "style"):
            inside = inside.replace("<", "").replace("&", "")
        return f"<{name}{attributes}>{inside}</{name.split()[0]}>"

    return st.builds(written, _NAMES, _ATTRIBUTES, st.lists(inside, max_size=5))


_BODIES = st.recursive(_TEXT | st.just("<!-- c -->"), _element, max_leaves=40)


@given(st.lists(_BODIES, max_size=4).map("".join), st.booleans())
def test_every_character_is_accounted_for(body: str, broken: bool) -> None:
    content = xhtml(body)
    if broken:
        content = content.replace("</body>", "")
    reading = read_blocks(content.encode(), "a.xhtml")
    counted = sum(block.characters for block in reading.blocks)
    assert reading.characters == len(content)
    assert reading.markup + counted == reading.characters
    assert reading.markup >= 0
    if broken:
        return
    # Another parser's text: all that is not white space is in a block, and no more than the text. Cells and the lines
    # of a heading have a joint that stands for their tags.
    source = _Text(content).characters
    joints = 2 * body.count("<") if any(tag in body for tag in ("<h", "<t")) else 0
    assert counted >= len("".join(source.split()))
    assert counted <= len(source) + joints
