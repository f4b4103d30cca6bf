"""One spelling for each English word that has several, and the long forms of short forms."""

import re

#: British endings to American ones. Text and transcript are both changed, so a change to other words does no harm.
_ENDINGS = (
    (re.compile(r"(?<=\w{2})our(?=$|s$|ed$|ing$|ite|able|ful|less|er|ly|hood)"), "or"),
    (re.compile(r"(?<=\w{2})is(?=(?:e[drs]?|ing|ations?|ers)$)"), "iz"),
    (re.compile(r"ys(?=(?:e[drs]?|ing)$)"), "yz"),
    (re.compile(r"(?<=\w[tbhg])re(?=s?$)"), "er"),
    (re.compile(r"ence(?=s?$)"), "ense"),
    (re.compile(r"ogue(?=s?$)"), "og"),
    (re.compile(r"mme(?=s?$)"), "m"),
    (re.compile(r"dgement"), "dgment"),
    (re.compile(r"ae"), "e"),
    (re.compile(r"ll"), "l"),
    (re.compile(r"wards$"), "ward"),
)

_SAME = {
    "ok": "okay",
    "mr": "mister",
    "mrs": "missus",
    "ms": "miss",
    "dr": "doctor",
    "prof": "professor",
    "st": "saint",
    "capt": "captain",
    "sgt": "sergeant",
    "lt": "lieutenant",
    "col": "colonel",
    "jr": "junior",
    "sr": "senior",
    "vs": "versus",
    "grey": "gray",
    "tyre": "tire",
    "tyres": "tires",
    "plough": "plow",
    "cheque": "check",
    "pyjamas": "pajamas",
    "sceptical": "skeptical",
    "mum": "mom",
    "alright": "allright",
    "whisky": "whiskey",
    "storey": "story",
    "aeroplane": "airplane",
    "moustache": "mustache",
    "learnt": "learned",
    "burnt": "burned",
    "dreamt": "dreamed",
    "spelt": "spelled",
    "spoilt": "spoiled",
    "leapt": "leaped",
    "til": "till",
}

_SHORT = {
    "etc": ("et cetera",),
    "cant": ("can not", "cannot"),
    "wont": ("will not",),
    "shant": ("shall not",),
    "lets": ("let us",),
    "im": ("i am",),
    "gonna": ("going to",),
    "wanna": ("want to",),
    "gotta": ("got to",),
    "em": ("them",),
    "cause": ("because",),
    "twas": ("it was",),
    "tis": ("it is",),
    "st": ("street",),
    "km": ("kilometers", "kilometer"),
    "kg": ("kilograms", "kilos"),
    "cm": ("centimeters",),
    "mph": ("miles per hour", "miles an hour"),
    "am": ("a m",),
    "pm": ("p m",),
}

_TAILS = {
    "s": ("is", "has", "us"),
    "re": ("are",),
    "ve": ("have",),
    "ll": ("will", "shall"),
    "d": ("would", "had", "did"),
    "m": ("am",),
}


def spell(word: str) -> str:
    """The one spelling that stands for all spellings of a lower-case word without apostrophes."""
    if word.endswith("s") and word[:-1] in _SAME:
        word = f"{_SAME[word[:-1]]}s"
    word = _SAME.get(word, word)
    for pattern, ending in _ENDINGS:
        word = pattern.sub(ending, word)
    return word


def long_forms(word: str) -> list[str]:
    """The long forms of a lower-case word with its apostrophes ('), each as words with spaces between them."""
    bare = word.replace("'", "")
    forms = list(_SHORT.get(bare, ()))
    head, apostrophe, tail = word.rpartition("'")
    if not apostrophe:
        return forms
    if tail == "t" and head.endswith("n"):
        forms.append(f"{head[:-1]} not")
    return [*forms, *(f"{head} {said}" for said in _TAILS.get(tail, ()) if head)]
