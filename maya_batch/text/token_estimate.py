"""How many speech tokens a text takes: the expected number, and the limit after which it has run away."""

import math
import re
from functools import lru_cache

from maya_batch.text.emotion_tags import LAUGH_TAGS, TAG
from maya_batch.text.pinned_word_count import spoken_words_1
from maya_batch.text.rules import TEXT_RULES
from maya_batch.text.word_count import SpokenWords, spoken_words

#: Speech tokens a spoken word at a conversational pace: 52 measured on the demo voice, 37 to 55 reported for Maya1.
_TOKENS_A_WORD = 52

#: A single "Yes." takes 84: onset, word and tail.
_TOKENS_A_CLIP = 40

#: Good sequences took at most 60 a word at a pace of 1, on the demo voice; 55 are reported for Maya1.
_CAP_A_WORD, _CAP_CONSTANT = 64, 250

#: Pace words of Maya1's descriptions, as a factor on the time a word takes. On the demo voice a text of 79 s took
#: 106 s slow and 76 s fast; very slow and very fast are set 1.5 times as far from 1.
_PACES = {"very_slow": 1.5, "slow": 1.34, "brisk": 0.98, "fast": 0.96, "very_fast": 0.95}
_PACE = re.compile(r"\b(very[ _-])?(slow|fast|brisk)\b")

#: <laugh> lasts 4 to 6 s, at 82 tokens a second; silent and short tags last two seconds at most.
_TAG_TOKENS, _SHORT_TAG_TOKENS = 400, 160


@lru_cache(maxsize=256)
def pace(description: str) -> float:
    """The factor on a word's time that a voice description asks for; 1 if it has no pace word."""
    found = _PACE.search(description.lower())
    if found is None:
        return 1.0
    return _PACES.get(("very_" if found[1] else "") + found[2], 1.0)


def expected_tokens(text: str, description: str, language: str, rules: int = TEXT_RULES) -> int:
    """The speech tokens that this text most likely takes; `rules` is the version of the text rules."""
    words = _words(text, language, rules).likely
    return math.ceil(_TOKENS_A_CLIP + words * _TOKENS_A_WORD * pace(description) + tag_tokens(text) / 4)


def cap_tokens(text: str, description: str, language: str, rules: int = TEXT_RULES) -> int:
    """The speech tokens after which a text that has not ended counts as run away.

    They are a constant, plus the spoken words times the pace, plus the longest time of the tags. Of 250 good sequences
    of the demo voice, 1 to 45 words long and at all paces, none reached the cap, and the longest took 83 % of it
    (tests/measure/caps.py). `rules` is the version of the text rules.
    """
    words = _words(text, language, rules).most
    return math.ceil(_CAP_CONSTANT + words * _CAP_A_WORD * max(1.0, pace(description)) + tag_tokens(text))


@lru_cache(maxsize=1 << 14)
def _words(text: str, language: str, rules: int) -> SpokenWords:
    """Cached: a text is counted while it is cut, and again after that."""
    if rules == 1:
        count = spoken_words_1(text, language)
        return SpokenWords(count, count)
    return spoken_words(text, language)


def tag_tokens(text: str) -> int:
    """The most speech tokens that the emotion tags of a text take; 0 if it has none."""
    if "<" not in text:
        return 0
    tags = [tag.strip("</>") for tag in TAG.findall(text)]
    return sum(_TAG_TOKENS if tag in LAUGH_TAGS else _SHORT_TAG_TOKENS for tag in tags)
