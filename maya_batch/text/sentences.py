"""Where sentences begin, by sentencex, for texts that it reads in linear time."""

import re

from sentencex import segment

#: What sentencex looks for the end of from each one on, to the end of the text where it does not come.
_PAIRS = (("“", "”"), ("„", "“"), ("‘", "’"), ("«", "»"), ("»", "«"), ("‹", "›"), ("「", "」"), ("《", "》"))
_MOST_UNPAIRED, _MOST_UNPAIRED_ASCII = 64, 1000
"""Up to so many, a character takes sentencex two microseconds at most; ASCII is read 30 times as fast."""

#: Between two spaces it looks from every full stop to either end. Of words of any language, so many are not spoken in
#: one go, so it matters only in what is cut at its dashes.
_UNSPACED = re.compile(r"\S{4096}")


def sentences(text: str, language: str) -> list[str]:
    """The sentences of `text`, which joined are the text; one where they could only be told in quadratic time.

    `language` is a code of sentencex, which reads unknown ones as English.
    """
    if _is_hostile(text):
        return [text]
    found: list[str] = segment(language, text)
    # Were it ever not to give back what it got: one sentence, to be split by its punctuation.
    return found if "".join(found) == text else [text]


def _is_hostile(text: str) -> bool:
    # These count whether or not they are closed; a lone backtick does beside a double quote.
    doubled = text.count("``")
    unpaired = doubled + text.count("''") + min(text.count("`") - 2 * doubled, text.count('"'))
    if not text.isascii():
        unpaired += sum(text.count(opening, text.rfind(closing) + 1) for opening, closing in _PAIRS)
    most = _MOST_UNPAIRED_ASCII if text.isascii() else _MOST_UNPAIRED
    return unpaired > most or _UNSPACED.search(text) is not None
