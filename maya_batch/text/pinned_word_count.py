"""The count of spoken words of text rules 1, pinned: it decides where books of these rules are cut.

`word_count` is the one to use for anything else; this one does not know most written forms.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from itertools import repeat

from maya_batch.text.emotion_tags import TAG
from maya_batch.text.readings.numbers import NUM2WORDS_ERRORS
from maya_batch.text.typography import INVISIBLE

_LONGEST_WORD = 14
"""The most letters of a word that counts as one; longer ones (compounds, "Nooooo…") take more time."""
_LETTERS_A_WORD = 7
"""In longer words, so many letters count as a word: English words have 5 on average, with the space about 6."""
_LONGEST_NUMBER = 15
"""The most digits of a number that is read as one; longer ones are read digit by digit."""

# Written as one word, spoken as several; keys are lower case.
_SAID_AS = {"etc": 2, "eg": 2, "ie": 2, "mph": 3, "rpm": 3, "pm": 2, "tv": 2, "ok": 2, "phd": 3}
# Spoken letter by letter although they have a vowel; abbreviations without a vowel need no list.
_SPELLED = re.compile(  # without IT and US, which are far more often shouted words
    "AI|API|ATM|BA|CEO|CIA|DIY|EU|FAQ|FBI|IBM|ID|IOU|IQ|IRS|ISP|IV|MA|MIT|OK|RAF|RIP|SOS|SUV"
    "|UAE|UFO|UK|UN|UPS|URL|USA|USB|USSR|VIP|YMCA"
)
_NOT_SPELLED = re.compile("BRR|DR|HMM?|MRS?|PFFT|PSST|SHH|ST|TSK")
_VOWELS = frozenset("AEIOUY")
_ROMAN = re.compile(r"[IVXLC]{2,}")
_SYMBOLS = {"<": 2, ">": 2, "÷": 2, "±": 3, "‰": 3} | dict.fromkeys("&%+=@#°/×$£€¥₹§©®™№", 1)

_PLAIN = re.compile(r"[“‘\"'(]*([A-Za-z][a-z]{0,13})(?:['’][a-z]{1,3})?[.,;:!?…”’\"')]*")
_LETTER = r"[^\W\d_]"
# The bounded repeats keep a token of any length linear.
_PART = re.compile(
    rf"""
    (?P<address> (?:https?://|www\.)\S+ | [\w.+-]{{1,64}}@[\w-]+(?:\.[\w-]+)+
        | (?:[\w-]{{1,63}}\.){{1,4}}(?:com|org|net|edu|gov|io|uk)\b(?:/\S*)? )
    | (?P<dotted> (?:{_LETTER}\.){{2,}}(?:{_LETTER}(?!\w))? )
    | (?P<money> [$£€¥₹] (?:\d+(?:,\d{{3}})+(?!\d)|\d+)(?:\.\d+)? (?:(?:k|m|mn|bn|b|tn)\b)? )
    | (?P<time> \d{{1,2}}(?::\d{{2}}){{1,2}}(?!\d) )
    | (?P<ordinal> \d+(?:,\d{{3}})*(?:st|nd|rd|th)\b )
    | (?P<number> (?:\d+(?:,\d{{3}})+(?!\d)|\d+)(?:[.,]\d+)* )
    | (?P<plural> (?<=\d)['’]?s\b )
    | (?P<sign> (?<=\d)[-–—](?=\d) | (?<!\w)[-–−](?=\d) )
    | (?P<fraction> [¼-¾⅐-⅞] )
    | (?P<ideograph> [\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af] )
    | (?P<word> (?:{_LETTER}[\u0300-\u036f]*)+ (?:['’]{_LETTER}+)* )
    | (?P<symbol> (?<!\d)/ | /(?!\d) | [&%+=@\#°×÷±‰$£€¥₹§©®™№<>] )
    """,
    re.VERBOSE,
)
_WORD = re.compile(_LETTER + "+")
_ADDRESS_PART = re.compile(rf"({_LETTER}+)|(\d+)|[^\w\s]|_")


def spoken_words_1(text: str, language: str) -> int:
    """Return the number of words spoken for `text` by rules 1; tags count 0."""
    if "<" in text:
        text = TAG.sub(" ", text)
    return sum(map(_token_words, text.split(), repeat(language)))


@lru_cache(maxsize=1 << 16)
def _token_words(token: str, language: str) -> int:
    """Count the words of a token without spaces. Cached: a book of 120,000 words has some 15,000 tokens."""
    if plain := _PLAIN.fullmatch(token):
        return _SAID_AS.get(plain[1].lower(), 1)
    clean = unicodedata.normalize("NFC", INVISIBLE.sub("", token))
    return sum(
        _COUNTERS[found.lastgroup](found.group(), language) for found in _PART.finditer(clean) if found.lastgroup
    )


def _word(word: str, language: str) -> int:
    base = re.sub(r"['’]s$|['’]", "", word)
    if said := _SAID_AS.get(base.lower()):
        return said
    capitals = base[:-1] if base[-1:] == "s" and base[:-1].isupper() else base
    if 2 <= len(capitals) <= 5 and capitals.isupper() and _is_spelled(capitals):
        return len(capitals)
    if _ROMAN.fullmatch(base):
        return 2  # "thirty-eight"
    return 1 if len(base) <= _LONGEST_WORD else -(-len(base) // _LETTERS_A_WORD)


def _is_spelled(capitals: str) -> bool:
    if _VOWELS & set(capitals):
        return _SPELLED.fullmatch(capitals) is not None
    return _NOT_SPELLED.fullmatch(capitals) is None


def _dotted(text: str, language: str) -> int:
    return len(_WORD.findall(text))


def _number(text: str, language: str) -> int:
    if re.match(r"\d+(?:,\d{3})+(?!\d)", text):
        whole, *rest = re.split(r"\.|,(?!\d{3}(?!\d))", text)
        return _read(whole.replace(",", ""), "cardinal", language) + _digits(rest)
    whole, *rest = re.split("[.,]", text)
    is_year = len(whole) == 4 and not rest and 1100 <= int(whole) < 2100
    return _read(whole, "year" if is_year else "cardinal", language) + _digits(rest)


def _digits(parts: list[str]) -> int:
    return sum(1 + len(part) for part in parts)  # "point one four"


def _money(text: str, language: str) -> int:
    amount = text[1:].rstrip("kmbnt")
    scale = len(text) - 1 - len(amount) > 0
    whole, _, cents = amount.replace(",", "").partition(".")
    words = _read(whole, "cardinal", language) + 1 + scale
    if len(cents) == 2 and not scale:
        return words + 2 + _read(cents.lstrip("0") or "0", "cardinal", language)  # "and … cents"
    return words + (_digits([cents]) if cents else 0)


def _time(text: str, language: str) -> int:
    parts = text.split(":")
    oh = sum(part[0] == "0" for part in parts[1:])  # "ten oh five"
    return oh + sum(_read(str(int(part)), "cardinal", language) for part in parts)


def _ordinal(text: str, language: str) -> int:
    return _read(text[:-2].replace(",", ""), "ordinal", language)


def _address(text: str, language: str) -> int:
    words = 0
    for found in _ADDRESS_PART.finditer(text.rstrip(".,;:!?)”’\"'")):
        letters, digits = found.groups()
        if digits:
            words += len(digits)
        elif letters and not _VOWELS & set(letters.upper()):
            words += len(letters)
        else:
            words += _word(letters.lower(), language) if letters else 1  # "dot", "slash"
    return words


_COUNTERS: dict[str, Callable[[str, str], int]] = {
    "address": _address,
    "dotted": _dotted,
    "money": _money,
    "time": _time,
    "ordinal": _ordinal,
    "number": _number,
    "plural": lambda text, language: 0,  # "the 1980s"
    "sign": lambda text, language: 1,  # "to", "minus"
    "fraction": lambda text, language: 3,  # "and a half"
    "ideograph": lambda text, language: 1,
    "word": _word,
    "symbol": lambda text, language: _SYMBOLS[text],
}


@lru_cache(maxsize=1 << 12)
def _read(digits: str, kind: str, language: str) -> int:
    """Count the words of a whole number, read as "cardinal", "ordinal" or "year"."""
    if len(digits) > _LONGEST_NUMBER or (digits[0] == "0" and len(digits) > 1):
        return len(digits)
    from num2words import num2words  # takes 0.1 s to import, and most texts have no number

    try:
        words = num2words(int(digits), lang=language, to=kind)
    except NUM2WORDS_ERRORS:
        words = num2words(int(digits), lang="en", to=kind)
    return sum(_word(word.lower(), language) for word in _WORD.findall(words))
