"""Finds tags that are read aloud as words, by what the transcript has in the tag's place."""

from collections.abc import Sequence

from rapidfuzz import fuzz

from maya_batch.quality import Problem
from maya_batch.quality.normalization import Sound, plain_words
from maya_batch.quality.word_alignment import Gap
from maya_batch.text.emotion_tags import TAG

#: The similarity, of 100, from which a heard word is a tag's name: anywhere in the take, and among extra words in the
#: tag's place.
_NAME, _NAME_THERE = 80, 55

#: By how much, of 100, words around a tag become more similar to the text when some words in the tag's place are left
#: out, and the least similarity after that. Of 80 names that the demo voice spoke, all but 2 were found (ASR with
#: tiny.en). Of the gaps between two words of 600 good takes, 0.9 % would have been taken for a name if a tag stood
#: there. A second transcription does not exclude these: a tag's own sound may be written as words that no list has.
_BETTER, _ALIKE = 5, 60


def spoken_tag(text: str, expected: Sequence[Sound], heard: Sequence[Sound], gaps: Sequence[Gap]) -> Problem | None:
    """The problem of a tag whose name is heard (`tag`), or in whose place there are words that may be its misheard name
    (`added`). `gaps` are the places where the transcript differs from the text.
    """
    return _name_heard(text, expected, heard) or _words_in_its_place(text, expected, heard, gaps)


def _name_heard(text: str, expected: Sequence[Sound], heard: Sequence[Sound]) -> Problem | None:
    """The problem if all words of a tag's name are heard and the text has no words like them."""
    spare = {sound.word for sound in heard} - {sound.word for sound in expected}
    for tag in TAG.findall(text):
        parts = plain_words(_name(tag), "en")
        like = [next((word for word in spare if fuzz.ratio(part, word) >= _NAME), None) for part in parts]
        near = any(fuzz.ratio(part, sound.word) >= _NAME for part in parts for sound in expected)
        if parts and all(like) and not near:
            return Problem("tag", f"the tag {tag} is read aloud: {' '.join(word for word in like if word)}")
    return None


def _words_in_its_place(
    text: str, expected: Sequence[Sound], heard: Sequence[Sound], gaps: Sequence[Gap]
) -> Problem | None:
    """The problem if a tag's place has extra words that resemble its name, or without which the words around them are
    more similar to the text. After the last word only resemblance counts: there ASR hears words in silence.
    """
    for place, word in enumerate(text.split()):
        for tag in TAG.findall(word):
            before = sum(max(sound.places) < place for sound in expected)
            after = sum(max(sound.places) <= place for sound in expected)
            for gap in gaps:
                if not (gap.start <= after and gap.end >= before and gap.missing < 0):
                    continue
                there = [sound.word for sound in heard[gap.begin : gap.finish]]
                middle = max(before, gap.start)
                around = ["".join(s.word for s in expected[a:b]) for a, b in ((gap.start, middle), (middle, gap.end))]
                like = fuzz.partial_ratio(_name(tag), " ".join(there)) >= _NAME_THERE
                if like or (before < len(expected) and _better_without(there, around)):
                    return Problem("added", f"unexpected words at {tag}: {' '.join(there)}")
    return None


def _better_without(heard: Sequence[str], around: Sequence[str]) -> bool:
    """Whether words are more similar to the text before and after a tag when some in a row are left out."""

    def alike(start: int, end: int) -> float:
        return fuzz.ratio("|".join(around), f"{''.join(heard[:start])}|{''.join(heard[end:])}")

    cuts = range(len(heard) + 1)
    whole = max(alike(cut, cut) for cut in cuts)
    without = max(alike(start, end) for start in cuts for end in cuts[start + 1 :])
    return without >= max(whole + _BETTER, _ALIKE)


def _name(tag: str) -> str:
    return tag.strip("</>").lower().replace("-", " ").replace("_", " ")
