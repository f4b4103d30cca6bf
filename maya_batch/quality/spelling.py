"""One spelling for each English word that has several."""

import re
from functools import cache
from pathlib import Path

#: British endings to American ones, for words that the table does not have. Text and transcript are both changed, so a
#: change to other words does no harm.
_ENDINGS = (
    (re.compile(r"(?<=\w{2})our(?=$|s$|ed$|ing$|ite|able|ful|less|er|ly|hood)"), "or"),
    (re.compile(r"(?<=\w{2})is(?=(?:e[drs]?|ing|ations?|ers)$)"), "iz"),
    (re.compile(r"wards$"), "ward"),
)

#: Spellings that the table does not have.
_SAME = {
    "ok": "okay",
    "mum": "mom",
    "alright": "allright",
    "whisky": "whiskey",
    "learnt": "learned",
    "burnt": "burned",
    "dreamt": "dreamed",
    "spelt": "spelled",
    "spoilt": "spoiled",
    "leapt": "leaped",
    "leant": "leaned",
    "til": "till",
    "shew": "show",
    "shewn": "shown",
    "shewed": "showed",
}


def spell(word: str) -> str:
    """The one spelling that stands for all spellings of a lower-case word without apostrophes."""
    american = _american()
    word = american.get(word, word)
    if word.endswith("s") and word[:-1] in american:
        word = f"{american[word[:-1]]}s"
    for pattern, ending in _ENDINGS:
        word = pattern.sub(ending, word)
    return word


@cache
def _american() -> dict[str, str]:
    """British spellings and the American ones, from the table next to this file."""
    table = Path(__file__).with_name("spellings.tsv").read_text(encoding="utf-8")
    rows = (line.partition("\t") for line in table.splitlines() if not line.startswith("#"))
    return {**{british: american for british, _, american in rows}, **_SAME}
