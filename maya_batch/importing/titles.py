"""What the title of a chapter says by its form: a number, a part, a chapter."""

import re
import unicodedata

# fmt: off
_WORDS = [
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty", "thirty", "forty", "fifty",
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "last",
]
# fmt: on
_NUMBER = rf"(?:\d{{1,4}}|[ivxlcdm]{{1,9}}|(?:the\s+)?(?:{'|'.join(_WORDS)})(?:[ -](?:{'|'.join(_WORDS[:9])}))?)"
_ROMAN = re.compile(r"M{0,3}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")
#: The highest number of a chapter: above are years, and words like MIX.
_MOST = 999
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}

_NUMBERS = {word: value for value, word in enumerate(_WORDS[:20], 1)}
_CHAPTER_WORDS = frozenset(
    ("chapter", "chap", "stave", "canto", "kapitel", "chapitre", "capítulo", "capitulo", "capitolo", "hoofdstuk")
)
_CHAPTER = re.compile(
    rf"(?P<head>(?:chapter|chap\.?|stave|canto|kapitel|chapitre|cap[ií]tulo|capitolo|hoofdstuk)\s+{_NUMBER})\b", re.I
)
_PART = re.compile(
    rf"(?:(?:part|book|volume|vol\.?|section|act|teil|buch|band|partie|livre|tome|parte|libro|deel)\s+{_NUMBER}"
    rf"|(?:the\s+)?(?:{'|'.join(_WORDS)})\s+(?:part|book|volume|act))\b",
    re.I,
)
_BARE = re.compile(rf"[\[(]?(?P<number>{_NUMBER})[\])]?[.:]?", re.I)
#: A numeral that is more often the name of something: alone, the title says it as it is written.
_LETTER = re.compile(r"\W*[CDLM]\W*", re.I)
_NUMBERED = re.compile(r"(?:\d{1,4}|[IVXLCDM]{1,9})(?:[.):]|\s|$)")
_NAMED = re.compile(
    r"(?:prologue|epilogue|introduction|introductory|preface|foreword|afterword|interlude|intermezzo|postscript|"
    r"conclusion|finale|appendix(?:\s+\w{1,4})?|acknowledge?ments?|contents|table of contents|dedication|epigraph|"
    r"notes|endnotes|footnotes|index|bibliography|glossary|author['’]s note|list of illustrations|illustrations|"
    r"transcriber['’]s notes?)",
    re.I,
)
_AFTER_PARTS = re.compile(
    r"(?:epilogue|afterword|postscript|conclusion|appendi(?:x|ces)|acknowledge?ments?|author['’]s note|about the|"
    r"glossary)\b",
    re.I,
)


def one_line(text: str) -> str:
    """The text with single spaces, and without characters that are controls or invisible."""
    shown = (c if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn") else "" for c in text)
    return " ".join("".join(shown).split())


def plain(title: str) -> str:
    """The letters and digits of a title in lower case, with single spaces: to compare titles."""
    folded = unicodedata.normalize("NFKC", title).casefold()
    return " ".join("".join(c if c.isalnum() else " " for c in folded).split())


def key(title: str) -> str:
    """A title for comparisons: as `plain`, and “Chapter IV: The Hill” is the same as “4. The Hill”."""
    words = plain(title).split()
    if len(words) > 1 and words[0] in _CHAPTER_WORDS:
        words = words[1:]
    if words:
        number = _roman(words[0].upper())
        words[0] = str(number or _NUMBERS.get(words[0]) or words[0])
    return " ".join(words)


def is_part(title: str) -> bool:
    """Whether it is numbered as a part, book, volume or section of several chapters."""
    return _begins_with(_PART, title)


def is_chapter(title: str) -> bool:
    """Whether it says that it is a chapter, and which."""
    return _begins_with(_CHAPTER, title)


def is_numbered(title: str) -> bool:
    """Whether it begins with a number, like “12. The Hill”."""
    return _NUMBERED.match(title) is not None


def is_bare_number(title: str) -> bool:
    """Whether it is a number in digits or Roman numerals, and nothing else."""
    return _bare(title) is not None


def is_named(title: str) -> bool:
    """Whether it is one of the usual names of chapters without a number, like “Preface”."""
    return _NAMED.fullmatch(title.rstrip(".: ")) is not None


def ends_parts(title: str) -> bool:
    """Whether it belongs to the whole book although it comes after the last part, like “Epilogue”."""
    return _AFTER_PARTS.match(title) is not None


def spoken_title(title: str, english: bool) -> str:
    """The title of a chapter as it is announced: “IV.” is “Chapter 4” in an English book."""
    title = one_line(title)
    number = _bare(title) if english and not _LETTER.fullmatch(title) else None
    if number is not None:
        return f"Chapter {number}"
    return title.removesuffix(".") if is_chapter(title) and not title.endswith("..") else title


def letter_number(title: str) -> int | None:
    """The number that a title of one letter may be: 50 for “L.”."""
    return _bare(title) if _LETTER.fullmatch(title) else None


def heading_title(heading: str) -> str:
    """The title that a heading makes, whose number and name may be two lines: “CHAPTER I START” gets its stop."""
    heading = one_line(heading)
    found = _CHAPTER.match(heading)
    rest = heading[found.end() :] if found else ""
    return f"{heading[: len(heading) - len(rest)]}. {rest.strip()}" if re.match(r"\s+\w", rest) else heading


def _begins_with(pattern: re.Pattern[str], title: str) -> bool:
    """Whether it begins like the pattern, and is not a sentence that does: “Part one of the plan was simple.”"""
    found = pattern.match(title)
    return found is not None and not title[found.end() :].lstrip()[:1].islower()


def _bare(title: str) -> int | None:
    found = _BARE.fullmatch(title.strip())
    if found is None:
        return None
    number = found["number"]
    if number.isdecimal():
        value: int | None = int(number)
    else:  # “Liv”, “Di” and “Vi” are names
        value = _roman(number.upper()) if number.isupper() or number.islower() else None
    return value if value is not None and value <= _MOST else None


def _roman(number: str) -> int | None:
    if not number or not _ROMAN.fullmatch(number):
        return None
    values = [_VALUES[letter] for letter in number]
    following = [*values[1:], 0]
    return sum(-value if value < after else value for value, after in zip(values, following, strict=True))
