"""Splits a text into sentences with sentencex, if it can do that in linear time."""

import re
from collections.abc import Iterator

from sentencex import segment

from maya_batch.text.break_points import Words, before_tags, is_cut

#: From each opening mark on, sentencex looks for the closing one, up to the end of the text if there is none.
_PAIRS = (("“", "”"), ("„", "“"), ("‘", "’"), ("«", "»"), ("»", "«"), ("‹", "›"), ("「", "」"), ("《", "》"))
_MOST_UNPAIRED, _MOST_UNPAIRED_ASCII = 64, 1000
"""With so many or fewer, sentencex takes at most two microseconds a character; ASCII is 30 times as fast."""

#: sentencex looks from every full stop for the next space on either side. In no language has a text that is spoken in
#: one go so many characters without a space, unless it is cut at its dashes.
_MOST_UNSPACED = 4096
_UNSPACED = re.compile(rf"\S{{{_MOST_UNSPACED}}}")

_OPENING_QUOTES = '“‘„‟«‹"'
_QUOTE = re.compile(f"[{_OPENING_QUOTES}]")
_ANY_QUOTE = re.compile(f"[{_OPENING_QUOTES}”»›]")


def sentence_starts(counted: Words, language: str, words: int) -> list[int]:
    """Return the ascending positions in a text where sentences start, 0 first.

    Those inside quoted speech count only in a sentence of more than `words` words. `language` is as in `sentences`.
    """
    text, rules = counted.text, counted.rules
    places: list[int] = []
    at = 0
    for sentence in sentences(text, language):
        places.append(at)
        if counted.count(at, at + len(sentence)) > words and _QUOTE.search(sentence):
            places += _inside_quotes(sentence, language, at)
        at += len(sentence)
    starts = [0]
    for place in before_tags(text, places, 0, len(text), rules):
        if is_cut(text, place, rules):
            start = rules.sentence_start(text, place)
            if start is not None and start > starts[-1]:
                starts.append(start)
    return starts


def _inside_quotes(sentence: str, language: str, offset: int) -> Iterator[int]:
    """Yield where sentences start inside quoted speech, which sentencex does not split."""
    at = 0
    for inner in sentences(_ANY_QUOTE.sub(" ", sentence), language)[:-1]:
        at += len(inner)
        if sentence[at].islower():
            continue  # “No!” she cried
        cut = at
        while cut and sentence[cut - 1] in _OPENING_QUOTES:
            cut -= 1
        yield offset + cut


def sentences(text: str, language: str) -> list[str]:
    """The sentences of `text`, which joined are the text; the whole text if splitting would take quadratic time.

    `language` is a code of sentencex, which treats unknown codes as English.
    """
    if _is_hostile(text):
        return [text]
    found: list[str] = segment(language, text)
    # If sentencex changes a character, the text counts as one sentence, which is split by its punctuation.
    return found if "".join(found) == text else [text]


def _is_hostile(text: str) -> bool:
    # These count whether or not they are closed; a lone backtick counts if there is also a double quote.
    doubled = text.count("``")
    unpaired = doubled + text.count("''") + min(text.count("`") - 2 * doubled, text.count('"'))
    if not text.isascii():
        unpaired += sum(text.count(opening, text.rfind(closing) + 1) for opening, closing in _PAIRS)
    most = _MOST_UNPAIRED_ASCII if text.isascii() else _MOST_UNPAIRED
    return unpaired > most or (len(text) >= _MOST_UNSPACED and _UNSPACED.search(text) is not None)
