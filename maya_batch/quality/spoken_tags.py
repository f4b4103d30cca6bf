"""Tags whose name is spoken instead of what it asks for: seen in what a recognizer heard where the tag stands; pure."""

from collections.abc import Sequence

from rapidfuzz import fuzz

from maya_batch.quality import Problem
from maya_batch.quality.normalization import Sound, fold, settle
from maya_batch.quality.word_alignment import Gap
from maya_batch.text.emotion_tags import TAG

#: How alike, of 100, a heard word is to a tag's name: anywhere in the take, and where the tag stands and words are too
#: many.
_NAME, _NAME_THERE = 80, 55

#: How much more alike, of 100, what is heard around a tag is to the text when some words in the tag's place are taken
#: away, and how alike at least it is then. Of 80 names that the demo voice spoke, tiny.en hearing them, all but 2 were
#: found so; of the gaps between two words of 600 good takes, 0.9 % would have been taken for a name, had a tag stood
#: there. They are heard twice, but a tag's own sound may still be written down as words that no list has.
_BETTER, _ALIKE = 5, 60


def spoken_tag(text: str, expected: Sequence[Sound], heard: Sequence[Sound], gaps: Sequence[Gap]) -> Problem | None:
    """A tag of the text whose name is heard (`tag`), or in whose place there are words that may be its name misheard
    (`added`). `gaps` are where the words that were heard differ from the text's.
    """
    return _name_heard(text, expected, heard) or _words_in_its_place(text, expected, heard, gaps)


def _name_heard(text: str, expected: Sequence[Sound], heard: Sequence[Sound]) -> Problem | None:
    """All words of a tag's name are heard, and the text has none like them."""
    spare = {sound.word for sound in heard} - {sound.word for sound in expected}
    for tag in TAG.findall(text):
        parts = [sound.word for sound in settle(fold(_name(tag), "en"), ())]
        like = [next((word for word in spare if fuzz.ratio(part, word) >= _NAME), None) for part in parts]
        near = any(fuzz.ratio(part, sound.word) >= _NAME for part in parts for sound in expected)
        if parts and all(like) and not near:
            return Problem("tag", f"the name of {tag} is spoken: {' '.join(word for word in like if word)}")
    return None


def _words_in_its_place(
    text: str, expected: Sequence[Sound], heard: Sequence[Sound], gaps: Sequence[Gap]
) -> Problem | None:
    """Words too many where a tag stands: they are like its name, or what is heard around them is more like the text
    without them. Behind the last word only what is like the name counts: there recognizers hear words in silence.
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
                    return Problem("added", f"where {tag} stands, this is heard: {' '.join(there)}")
    return None


def _better_without(heard: Sequence[str], around: Sequence[str]) -> bool:
    """Whether words are more like the text before and after a tag when some in a row are left out."""

    def alike(start: int, end: int) -> float:
        return fuzz.ratio("|".join(around), f"{''.join(heard[:start])}|{''.join(heard[end:])}")

    cuts = range(len(heard) + 1)
    whole = max(alike(cut, cut) for cut in cuts)
    without = max(alike(start, end) for start in cuts for end in cuts[start + 1 :])
    return without >= max(whole + _BETTER, _ALIKE)


def _name(tag: str) -> str:
    return tag.strip("</>").lower().replace("-", " ").replace("_", " ")
