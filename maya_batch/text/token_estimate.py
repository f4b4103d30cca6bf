"""How long a text is going to be as speech, in tokens: what to expect, and where to stop waiting for its end."""

import math
import re
from functools import lru_cache

from maya_batch.text.emotion_tags import LAUGH_TAGS, TAG
from maya_batch.text.word_count import spoken_words

#: Speech tokens a spoken word at a conversational pace: 52 measured on the demo voice, 37 to 55 reported for Maya1.
_TOKENS_A_WORD = 52

#: A lone "Yes." takes 84: onset, word and tail.
_TOKENS_A_CLIP = 40

#: The most that good sequences took a word at a pace of 1 were 60, on the demo voice; 55 are reported for Maya1.
_CAP_A_WORD, _CAP_CONSTANT = 64, 250

#: Pacing words of Maya1's descriptions, as a factor on the time a word takes. On the demo voice a text of 79 s took
#: 106 s slow and 76 s fast; the very slow and very fast ones go half as far again.
_PACES = {"very_slow": 1.5, "slow": 1.34, "brisk": 0.98, "fast": 0.96, "very_fast": 0.95}
_PACE = re.compile(r"\b(very[ _-])?(slow|fast|brisk)\b")

#: <laugh> lasts 4 to 6 s, 82 tokens a second; the silent and short ones are over within two.
_TAG_TOKENS, _SHORT_TAG_TOKENS = 400, 160


@lru_cache(maxsize=256)
def pace(description: str) -> float:
    """The factor on a word's time that a voice description asks for: 1 where it says nothing of slow or fast."""
    found = _PACE.search(description.lower())
    if found is None:
        return 1.0
    return _PACES.get(("very_" if found[1] else "") + found[2], 1.0)


def expected_tokens(text: str, description: str, language: str) -> int:
    """Speech tokens this text most likely takes."""
    words = _words(text, language)
    return math.ceil(_TOKENS_A_CLIP + words * _TOKENS_A_WORD * pace(description) + tag_tokens(text) / 4)


def cap_tokens(text: str, description: str, language: str) -> int:
    """Speech tokens after which a text that has not ended is taken to have run away.

    A constant, plus the words as spoken times the pace asked for, plus what tags may last. Of 250 good sequences of the
    demo voice, 1 to 45 words long and at all paces, none reached it and the longest took 83 % of it
    (tests/measure/caps.py).
    """
    words = _words(text, language)
    return math.ceil(_CAP_CONSTANT + words * _CAP_A_WORD * max(1.0, pace(description)) + tag_tokens(text))


@lru_cache(maxsize=1 << 14)
def _words(text: str, language: str) -> int:
    """Counted once: a text is asked for while it is cut, and twice more when it is cut."""
    return spoken_words(text, language)


def tag_tokens(text: str) -> int:
    """Speech tokens that the emotion tags of a text may last at the most; 0 where it has none."""
    if "<" not in text:
        return 0
    tags = [tag.strip("</>") for tag in TAG.findall(text)]
    return sum(_TAG_TOKENS if tag in LAUGH_TAGS else _SHORT_TAG_TOKENS for tag in tags)
