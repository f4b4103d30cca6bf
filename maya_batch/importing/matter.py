"""Recognises what is printed in a book but not read aloud: title page, imprint, contents, notes, index, licences.

By the roles of elements (epub:type, ARIA), by titles, and by the marks that Project Gutenberg puts around its books.
A preface, an introduction, a prologue, an epigraph, an epilogue and acknowledgements are read aloud.
"""

import re
from collections.abc import Mapping, Sequence

from maya_batch.importing.blocks import Block
from maya_batch.importing.titles import plain

TITLE_PAGE, CONTENTS, NOTES = "title page", "contents list", "notes"
GUTENBERG_HEADER, GUTENBERG_LICENSE = "Project Gutenberg header", "Project Gutenberg license"
TRANSCRIBER = "transcriber's note"

#: Roles in the order in which they count: what stands on a title page belongs to the title page. ARIA roles are
#: here without `doc-`, as `roles_of` returns them.
_ROLES: Mapping[str, str] = {
    "cover": "cover",
    "titlepage": TITLE_PAGE,
    "halftitlepage": TITLE_PAGE,
    "fulltitle": TITLE_PAGE,
    "halftitle": TITLE_PAGE,
    "seriespage": TITLE_PAGE,
    "copyright-page": "imprint",
    "imprint": "imprint",
    "imprimatur": "imprint",
    "colophon": "colophon",
    "toc": CONTENTS,
    "toc-brief": CONTENTS,
    "landmarks": CONTENTS,
    "page-list": CONTENTS,
    "pagelist": CONTENTS,
    "loi": "list of illustrations",
    "lot": "list of tables",
    "loa": "list of audio clips",
    "lov": "list of video clips",
    "dedication": "dedication",
    "endnotes": NOTES,
    "rearnotes": NOTES,
    "footnotes": NOTES,
    "index": "index",
    "bibliography": "bibliography",
    "errata": "errata",
    "contributors": "credits",
    "credits": "credits",
    "credit": "credits",
    "other-credits": "credits",
    "non-linear": "outside the reading order",
}

#: Titles, as `plain` writes them. “Notes” may be a chapter of a novel only with more words in its title.
_TITLES: Sequence[tuple[str, re.Pattern[str]]] = [
    (reason, re.compile(pattern))
    for reason, pattern in (
        ("cover", r"(front |back )?cover( page| image)?"),
        (TITLE_PAGE, r"(half )?title ?page|half title|by the same author title"),
        ("imprint", r"(un)?copyright( page| notice| information)?|imprint|legal notice|publication (data|information)"),
        ("colophon", r"colophon"),
        (
            CONTENTS,
            r"(the )?(table of )?contents|toc|brief contents|navigation|table des matières|inhalt(sverzeichnis)?",
        ),
        ("list of illustrations", r"(list of )?(the )?(illustrations|plates|figures|maps)|list of tables"),
        ("dedication", r"dedication|dedicated to"),
        (NOTES, r"(end|foot|rear)?notes|notes (to|on) the (text|chapters)|notes and references|anmerkungen"),
        ("index", r"(general |subject )?index( of (names|subjects|first lines|titles))?"),
        ("bibliography", r"(select(ed)? )?bibliography|works cited|references|further reading"),
        (
            "advertisements",
            r"advertisements?|(also|other (books|titles|works)|books|more) (by|from) .{1,80}|by the same author|"
            r"about the publisher|newsletter( sign up)?",
        ),
        ("about the author", r"about the authors?"),
        ("errata", r"errata|corrigenda"),
        (TRANSCRIBER, r"transcribers? s? ?notes?|transcribers endnotes?"),
        (GUTENBERG_HEADER, r"(the )?project gutenberg (e ?book|s|etext) .{0,400}"),
        (GUTENBERG_LICENSE, r"(the )?full project gutenberg(tm)? licen[cs]e"),
    )
]

_START = re.compile(r"\s*\*{3}\s*START OF TH(E|IS) PROJECT GUTENBERG|.{0,40}\*END\*\s*THE SMALL PRINT", re.I)
_END = re.compile(r"\s*\*{3}\s*END OF TH(E|IS) PROJECT GUTENBERG", re.I)
_ALMOST_END = re.compile(r"\s*End of (the )?Project Gutenberg('s|’s)?\b", re.I)
_CREDIT = re.compile(r"\s*(This e-?text was )?(Produced|E-?text prepared|Prepared|Transcribed) (by|from)\b", re.I)
_TRANSCRIBER = re.compile(r"\s*\[?\s*Transcriber['’]?s?['’]? notes?\b", re.I)
#: Blocks after the header in which a credit may stand.
_NEAR = 4


def reason_of_roles(roles: frozenset[str]) -> str:
    """Why an element with these roles is not read aloud; "" if it is."""
    return next((reason for role, reason in _ROLES.items() if role in roles), "")


def reason_of_title(title: str) -> str:
    """Why a chapter with this title is not read aloud; "" if it is."""
    name = plain(title)
    return next((reason for reason, pattern in _TITLES if pattern.fullmatch(name)), "")


def is_transcribers_note(text: str) -> bool:
    """Whether a paragraph is a note of the people who typed the book."""
    return _TRANSCRIBER.match(text) is not None


def gutenberg_reasons(blocks: Sequence[Block]) -> dict[int, str]:
    """The numbers of the blocks that Project Gutenberg put around its book, each with its reason."""
    reasons: dict[int, str] = {}
    start = next((at for at, block in enumerate(blocks) if _START.match(block.text)), None)
    end = next((at for at, block in enumerate(blocks) if at > (start or 0) and _END.match(block.text)), None)
    if start is not None:
        reasons |= dict.fromkeys(range(start + 1), GUTENBERG_HEADER)
        near = range(start + 1, min(start + 1 + _NEAR, len(blocks)))
        reasons |= {at: TRANSCRIBER for at in near if _CREDIT.match(blocks[at].text)}
    if end is not None:
        if end and _ALMOST_END.match(blocks[end - 1].text):
            end -= 1
        reasons |= dict.fromkeys(range(end, len(blocks)), GUTENBERG_LICENSE)
    return reasons
