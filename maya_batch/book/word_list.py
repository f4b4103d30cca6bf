"""Finds the words of a book that a voice may say wrongly: names, words in capitals, words with unusual letters.

There is no dictionary: a word is judged by how the book writes it.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal

from maya_batch.book.chunk import Chunk
from maya_batch.book.plan import Plan, plan_manuscript
from maya_batch.text.abbreviations import ABBREVIATIONS
from maya_batch.text.emotion_tags import TAG
from maya_batch.text.sentences import sentences

Kind = Literal["name", "capitals", "letters"]

_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f])*+(?:['’][^\W\d_]++)*+")
_SUFFIX = re.compile(r"['’](?:s|d|ll|ve|re|m)$", re.IGNORECASE)
#: After one of these a capital is no start of a sentence.
_INSIDE = re.compile(r"[\w,;]$")
_ABBREVIATED = re.compile(r"([^\W\d_]{1,9})\.$")
#: Letters before a word that are looked at.
_BEFORE = 12
#: Letters that English words lack: accents, beginnings and pairs of other languages, a word without a vowel.
_UNUSUAL = re.compile(
    r"[^\x00-\x7f’]|q(?!u)|[jqv]$|aa|ii|uu|jj|sz|zs|cz|tz[aeiou]|[^aeiouy]{6}"
    r"|^(?:b[dgkmnptvz]|c[bdfgjkmpqtvz]|d[bdfgjklmnpqtvz]|f[bdgkmnptvz]|g[bdgkmptvz]|h[b-df-hj-np-tv-xz]|j[b-df-hj-np-tv-xz]"
    r"|k[bdgkmpqtv]|l[b-df-hj-km-np-tv-xz]|m[b-df-hj-lp-tv-xz]|n[b-df-hj-np-tv-xz]|p[bdgkmqvz]|r[b-df-gj-np-tv-xz]|s[bdfgrvz]"
    r"|t[bdfgklmnpqvz]|v[b-df-hj-np-tv-xz]|w[b-df-gj-np-qs-tv-xz]|x[b-df-hj-np-tv-xz]|z[b-df-hj-np-tv-x])[a-z]"
)
_ROMAN = re.compile(r"[IVXLCDM]+")
#: Words with a capital inside a sentence that every voice knows.
_KNOWN = frozenset(
    {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january", "february", "march"}
    | {"april", "may", "june", "july", "august", "september", "october", "november", "december", "christmas"}
    | {"god", "england", "english", "london"}
)
#: The most characters of an example on either side of the word.
_AROUND = 60


@dataclass(frozen=True)
class ListedWord:
    """A word that a lexicon may need."""

    word: str
    count: int
    """How often the book has it, in any case."""
    kind: Kind
    """`name`: with a capital inside sentences; `capitals`: only in capitals; `letters`: with letters unusual in
    English."""
    ref: str
    """The first chunk with it."""
    sentence: str
    """An example, from that chunk."""
    respelling: str | None
    """What the lexicon has a voice say there; None if it has no entry for the word."""


@dataclass
class _Counts:
    """How a book writes a word."""

    form: str
    chunk: Chunk
    start: int
    total: int = 0
    small: int = 0
    inside: int = 0
    """With a capital where no sentence starts."""
    capitals: int = 0


def listed_words(plan: Plan) -> list[ListedWord]:
    """The words, the most frequent first, in a time that grows with the length of the book."""
    known: dict[str, _Counts] = {}
    for chunk in as_written(plan).chunks():
        text = TAG.sub(lambda tag: " " * len(tag.group()), chunk.text) if "<" in chunk.text else chunk.text
        for found in _WORD.finditer(text):
            word = _SUFFIX.sub("", found.group())
            if len(word) > 1:
                _count(known, word, chunk, found.start())
    listed = [entry for key, counts in known.items() if (entry := _listed(key, counts, plan)) is not None]
    return sorted(listed, key=lambda word: (-word.count, word.word.lower()))


def _count(known: dict[str, _Counts], word: str, chunk: Chunk, start: int) -> None:
    key = word.lower()
    counts = known.get(key)
    if counts is None:
        counts = known[key] = _Counts(word, chunk, start)
    counts.total += 1
    if word == key:
        counts.small += 1
    elif word.isupper():
        counts.capitals += 1
    elif _is_inside(chunk.text, start):
        if not counts.inside:
            counts.form, counts.chunk, counts.start = word, chunk, start
        counts.inside += 1


def _is_inside(text: str, start: int) -> bool:
    """Whether no sentence starts at a word."""
    before = text[max(0, start - _BEFORE) : start].rstrip()
    if _INSIDE.search(before):
        return True
    short = _ABBREVIATED.search(before)
    known = None if short is None else ABBREVIATIONS.get(short[1].lower())
    return known is not None and known.follows == "name"


def _listed(key: str, counts: _Counts, plan: Plan) -> ListedWord | None:
    """The word, if it is one to look at."""
    kind: Kind
    if key in _KNOWN or key in ABBREVIATIONS:
        return None
    if counts.inside and 2 * counts.small < counts.inside:
        kind = "name"
    elif counts.capitals == counts.total and not _ROMAN.fullmatch(counts.form):
        kind = "capitals"
    elif _UNUSUAL.search(key) and not _ROMAN.fullmatch(counts.form):
        kind = "letters"
    else:
        return None
    chunk, start = counts.chunk, counts.start
    entry = plan.lexicon.entry(counts.form, chunk.voice)
    sentence = example(chunk.text, start, start + len(counts.form), plan.book.language)
    return ListedWord(counts.form, counts.total, kind, chunk.ref, sentence, None if entry is None else entry.respelling)


def as_written(plan: Plan) -> Plan:
    """The plan of the same book with its texts as they are written: without its lexicon, and without `normalize`."""
    book = plan.book
    if book.lexicon is None and book.normalize == "off":
        return plan
    plain = replace(plan.manuscript, lexicon=(), book=book.model_copy(update={"lexicon": None, "normalize": "off"}))
    return plan_manuscript(plain, plan.sound, allow_unknown_tags=True, allow_language=True, rules=plan.text_rules)


def example(text: str, start: int, end: int, language: str) -> str:
    """The sentence around text[start:end], shortened at both ends if it is long."""
    first = last = 0
    for sentence in sentences(text, language):
        first, last = last, last + len(sentence)
        if start < last:
            break
    head = "…" if first < start - _AROUND else ""
    tail = "…" if last > end + _AROUND else ""
    return f"{head}{text[max(first, start - _AROUND) : min(last, end + _AROUND)].strip()}{tail}"
