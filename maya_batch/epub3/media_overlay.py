"""Media overlays: the SMIL documents that say which part of a sound file speaks which element of a text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from lxml import etree

SMIL_TYPE = "application/smil+xml"
ACTIVE_CLASS = "-epub-media-overlay-active"
"""The class of the element that is being spoken, as EPUB 3.3, 9.3.2.4 names it in its examples."""
STYLE = f".{ACTIVE_CLASS} {{ background-color: #ffe9a8; color: #000; }}\n"
"""The rule for it: dark on a light yellow, also where the pages are dark."""

_SMIL, _OPS = "http://www.w3.org/ns/SMIL", "http://www.idpf.org/2007/ops"


@dataclass(frozen=True)
class Part:
    """An element of a text, and what of a sound file speaks it."""

    anchor: str
    """The id of the element."""
    audio: str
    """The link to the sound file, from the SMIL document."""
    start: float
    end: float
    """Seconds, in whole milliseconds."""


def parts(anchors: Sequence[tuple[str, float]], audio: str, seconds: float) -> list[Part]:
    """The parts of a sound file of this length whose elements begin at these times; none of the sound is left out.

    Elements that would begin in the same millisecond as another one are spoken with it.
    """
    starts: dict[int, str] = {}
    for anchor, start in anchors:
        starts.setdefault(round(1000 * start) if starts else 0, anchor)
    edges = [*sorted(starts), round(1000 * seconds)]
    return [Part(starts[start], audio, start / 1000, end / 1000) for start, end in pairwise(edges) if end > start]


def joined_parts(spoken: Iterable[Part], joined: Mapping[str, str]) -> list[Part]:
    """The parts where some elements are in others: `joined` names the anchor of that one.

    Parts of one element that follow each other in its sound are one.
    """
    found: list[Part] = []
    for part in spoken:
        anchor = joined.get(part.anchor, part.anchor)
        if found and (found[-1].anchor, found[-1].audio, found[-1].end) == (anchor, part.audio, part.start):
            found[-1] = replace(found[-1], end=part.end)
        else:
            found.append(replace(part, anchor=anchor))
    return found


def smil(text: str, spoken: Iterable[Part]) -> bytes:
    """The SMIL document of the text that the link `text` leads to."""
    root = etree.Element(f"{{{_SMIL}}}smil", {"version": "3.0"}, nsmap={None: _SMIL, "epub": _OPS})
    body = etree.SubElement(root, f"{{{_SMIL}}}body", {f"{{{_OPS}}}textref": text})
    for number, each in enumerate(spoken, 1):
        par = etree.SubElement(body, f"{{{_SMIL}}}par", {"id": f"par-{number}"})
        etree.SubElement(par, f"{{{_SMIL}}}text", {"src": f"{text}#{each.anchor}"})
        begin, end = (f"{seconds:.3f}s" for seconds in (each.start, each.end))
        etree.SubElement(par, f"{{{_SMIL}}}audio", {"src": each.audio, "clipBegin": begin, "clipEnd": end})
    content: bytes = etree.tostring(root, encoding="utf-8", xml_declaration=True, pretty_print=True)
    return content


def clock(seconds: float) -> str:
    """A length as a clock value of SMIL."""
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"


def length(spoken: Iterable[Part]) -> float:
    """The length of an overlay, in seconds."""
    return sum(round(1000 * (each.end - each.start)) for each in spoken) / 1000
