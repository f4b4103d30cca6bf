"""Text of a DOCX that mammoth does not read: some becomes text that it does read, the rest is left out and counted."""

from collections import Counter
from collections.abc import Collection
from typing import Final

from lxml import etree

W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
"""The namespace of the text."""
_M, _MC, _V = (
    "{http://schemas.openxmlformats.org/officeDocument/2006/math}",
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}",
    "{urn:schemas-microsoft-com:vml}",
)
#: Word's “Strict Open XML” has other names for the same.
_STRICT: Final = {
    "{http://purl.oclc.org/ooxml/wordprocessingml/main}": W,
    "{http://purl.oclc.org/ooxml/officeDocument/math}": _M,
}
#: What only surrounds text: fields, directions, and the base of ruby.
_WRAPPERS: Final = [f"{W}{name}" for name in ("fldSimple", "bdo", "dir", "ruby", "rubyBase")]
_ANNOTATION: Final = f"{W}rt"
_SPACES: Final = {f"{W}cr": f"{W}br", f"{W}ptab": f"{W}tab"}
#: Elements whose content mammoth reads.
_READ: Final = frozenset(
    [
        *(f"{W}{name}" for name in (
            "document", "body", "p", "r", "t", "tbl", "tr", "tc", "hyperlink", "ins", "moveTo", "smartTag", "customXml",
            "sdt", "sdtContent", "object", "pict", "drawing", "txbxContent",
            "footnotes", "footnote", "endnotes", "endnote",
        )),
        *(f"{_V}{name}" for name in ("group", "rect", "roundrect", "shape", "textbox")),
        f"{_MC}AlternateContent", f"{_MC}Fallback",
    ]
)  # fmt: skip
_REASONS: Final = {
    f"{W}del": "tracked deletion",
    f"{W}moveFrom": "tracked deletion",
    f"{W}delText": "tracked deletion",
    f"{_M}oMath": "formula",
    f"{_M}oMathPara": "formula",
    _ANNOTATION: "ruby",
}
_TEXTS: Final = (f"{W}t", f"{W}delText", f"{_M}t")
#: Their text is in other files of the package.
_ELSEWHERE: Final = (f"{W}altChunk", f"{W}subDoc")
_OFF: Final = ("0", "false", "off")
_LONGEST_TOKEN = 4
"""The most characters of a formula that is read as a word: `x`, `42`."""


def leave_out(tree: etree._Element, keep: Collection[str]) -> tuple[Counter[str], set[str]]:
    """Mend a part; the characters that are left out, by reason, and the names of elements that are not known.

    `keep` is as in `xhtml_blocks.read_blocks`. Elements that mammoth passes over stay.
    """
    _as_transitional(tree)
    for mark in list(tree.iter(*_SPACES)):
        mark.tag = _SPACES[str(mark.tag)]
    if "ruby" in keep:
        _read_annotations(tree)
    etree.strip_tags(tree, *_WRAPPERS)
    found: list[tuple[etree._Element, str]] = []
    with_fallback = {each.getparent() for each in tree.iter(f"{_MC}Fallback") if each.find(f".//{W}t") is not None}
    walk = etree.iterwalk(tree, events=("start",))
    for _, element in walk:
        if element.tag == f"{_MC}Choice" and element.getparent() in with_fallback:
            walk.skip_subtree()  # the same text stands in the fallback, which is read
        elif reason := _reason(element):
            found.append((element, reason))
            walk.skip_subtree()
    counts: Counter[str] = Counter()
    unknown = {_name(element) for element in tree.iter(*_ELSEWHERE)}
    for element, reason in found:
        texts = [text.text or "" for text in element.iter(*_TEXTS)]
        count = sum(map(len, texts))
        if reason == "formula" and ("formula" in keep or (len(texts) == 1 and count <= _LONGEST_TOKEN)):
            _replace(element, " ".join(texts))
        elif reason == "hidden":
            if "hidden" not in keep:
                counts[reason] += count
                _remove(element)
        elif count:
            counts[reason] += count
            if reason == "unknown element":
                unknown.add(_name(element))
    return +counts, unknown


def _as_transitional(tree: etree._Element) -> None:
    """Give elements and attributes of Strict Open XML the names that Word writes by default."""
    strict = list(tree.iter(*(f"{namespace}*" for namespace in _STRICT)))
    for element in strict:
        element.tag = _transitional(str(element.tag))
        for name, value in element.attrib.items():
            if (other := _transitional(str(name))) != name:
                del element.attrib[name]
                element.set(other, value)


def _transitional(name: str) -> str:
    namespace, end, local = name.rpartition("}")
    return _STRICT.get(namespace + end, namespace + end) + local


def _read_annotations(tree: etree._Element) -> None:
    """Put what ruby says after its base, as text."""
    for annotation in list(tree.iter(_ANNOTATION)):
        ruby = annotation.getparent()
        if ruby is not None:
            ruby.append(annotation)
    etree.strip_tags(tree, _ANNOTATION)


def _reason(element: etree._Element) -> str:
    """Why the text in an element is not read; "" if it is."""
    tag = str(element.tag)
    if tag in _REASONS:
        return _REASONS[tag]
    if tag == f"{W}r" and (vanish := element.find(f"{W}rPr/{W}vanish")) is not None:
        return "" if vanish.get(f"{W}val") in _OFF else "hidden"
    if tag == f"{W}tr" and element.find(f"{W}trPr/{W}del") is not None:
        return "tracked deletion"
    if tag in _READ:
        return ""
    return "text box" if next(element.iter(f"{W}txbxContent"), None) is not None else "unknown element"


def _replace(formula: etree._Element, text: str) -> None:
    """Put a run with a text in the place of an element."""
    parent = formula.getparent()
    if parent is not None:
        run = etree.Element(f"{W}r")
        run.tail = formula.tail
        etree.SubElement(run, f"{W}t").text = text
        parent.replace(formula, run)


def _remove(run: etree._Element) -> None:
    parent = run.getparent()
    if parent is not None:
        parent.remove(run)


def _name(element: etree._Element) -> str:
    """The name as Word writes it, like `w:altChunk`."""
    name = etree.QName(element).localname
    return f"{element.prefix}:{name}" if element.prefix else name
