r"""Decodes HTML entities: `&mdash;`, `&#39;`, `&#x2014;`; what they stand for is text, never markup."""

import html
import re
import unicodedata
from html.entities import html5

from maya_batch.messages.quoting import shorten
from maya_batch.text.lines import is_as_written
from maya_batch.text.passage import Passage, Replacement, TextProblem
from maya_batch.text.rewriting import Rewriter
from maya_batch.text.spoken_signs import WORDS_FOR, words_for

_RULE = "entity"
# `&amp;mdash;` was escaped twice; it is read in one go, because no text means the name of an entity.
_ENTITY = re.compile(
    r"&(?:amp;)*+(?:#(?:[0-9]{1,8}|[xX][0-9A-Fa-f]{1,8});?|(?P<name>[A-Za-z][A-Za-z0-9]{1,31})(?P<end>;?))"
)
_AMPERSAND = re.compile(r"&(?:amp;)++")
_WHITE_SPACE = frozenset("\t\n\f\r")
_MOST_PROBLEMS = 1000
"""The most problems of one passage."""
_QUOTED = 30


def decode_entities(source: str) -> Rewriter:
    """The rule that decodes the entities of a chapter with this source.

    Without a semicolon only those are decoded that HTML reads without one, in lower case: `&amp` but not `&mdash`. A
    name that HTML does not know is a problem, unless it follows a letter and begins with a capital: `AT&T;`.
    """

    def decode(passage: Passage) -> tuple[list[Replacement], list[TextProblem]]:
        text = passage.text
        if "&" not in text:
            return [], []
        replacements: list[Replacement] = []
        problems: list[TextProblem] = []
        at = 0
        while (start := text.find("&", at)) >= 0:
            at = start + 1
            found = _ENTITY.match(text, start) or _AMPERSAND.match(text, start)
            if found is None or not is_as_written(passage, source, start):
                continue
            at = found.end()
            decoded = _decoded(found)
            escaped = _AMPERSAND.match(text, start)
            if decoded is None and escaped is not None:  # `R&amp;D`
                decoded, at = "&", escaped.end()
            if decoded is None:
                if _is_refused(found) and len(problems) < _MOST_PROBLEMS:
                    offset = passage.source_offset(start)
                    problems.append(_problem(offset, found.group()))
                at = start + 1
                continue
            if decoded in WORDS_FOR:
                before = replacements[-1].text if replacements and replacements[-1].end == start else text[:start]
                lead, words = words_for(decoded, before[-1:] or " ", text[at : at + 1] or " ")
                decoded = lead + words
            replacements.append(Replacement(start, at, decoded, _RULE))
        return replacements, problems

    return decode


def _decoded(found: re.Match[str]) -> str | None:
    """What an entity stands for; None if it is none, or stands for a character that no text may have."""
    raw = "&" + found.group().rpartition("&")[2].replace("amp;", "")
    if raw == "&":
        return "&"
    name = found.groupdict().get("name")
    if name is not None:
        known = html5.get(name + found["end"])
        if not found["end"] and not name.islower() and not name[1:].islower():
            return None  # `AT&LT` is a name
        return " " if known in _WHITE_SPACE else known
    decoded = html.unescape(raw if raw.endswith(";") else raw + ";")
    if decoded in _WHITE_SPACE:
        return " "
    # html.unescape gives "" or U+FFFD for numbers that are no characters.
    if decoded in ("", "\ufffd") or unicodedata.category(decoded[0]) in ("Cc", "Cs", "Cn", "Co"):
        return None
    return decoded


def _is_refused(found: re.Match[str]) -> bool:
    name = found.groupdict().get("name")
    if name is None:
        return True
    before = found.string[found.start() - 1 : found.start()]
    return bool(found["end"]) and not (before.isalnum() and name[0].isupper())


def _problem(offset: int, raw: str) -> TextProblem:
    what = f"{shorten(raw, _QUOTED)} is not an HTML entity of a character"
    return TextProblem(offset, what, r"write the character, or \& if an ampersand is meant")
