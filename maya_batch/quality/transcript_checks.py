"""Checks whether a take says its text: compares its transcript with the text, word by word."""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from rapidfuzz import fuzz

from maya_batch.manifest.schema import Quality
from maya_batch.messages.plural import plural
from maya_batch.quality import Problem, Transcript
from maya_batch.quality.misread import misread_number, none_right
from maya_batch.quality.normalization import Part, Sound, fold
from maya_batch.quality.reading_choice import choose_readings
from maya_batch.quality.remarks import find_remarks
from maya_batch.quality.spoken_tags import spoken_tag
from maya_batch.quality.word_alignment import Gap, gaps, join_compounds, pair
from maya_batch.text.language import base_language

#: The number of unheard words at the end of a text from which the take counts as cut off. ASR may miss one that is
#: spoken quietly; of 36 complete takes of the demo voice (14 to 22 words), tiny.en missed two in none.
_TAIL = 2

#: The most words inside a missing or an added stretch that may match by accident.
_BRIDGE = 2

#: The similarity, of 100, from which an added stretch repeats another one; ASR may mishear both. With it, 33 of 36
#: repeated stretches are reported as repeated, the others as missing or added.
_AGAIN = 80

#: The fewest words that count as said twice, in a short text of which they are half: "Hello there! Hello there!".
_FEWEST_TWICE = 2

#: The most extra words that are compared with the words around them. A transcript of thousands, which ASR may write for
#: noise, would take minutes; they are reported as added.
_MOST_TWICE = 200

#: Sounds that ASR may write down, at any length, or leave out.
_NOISE = re.compile(
    r"a?(?:[hj][aeiou]+h*){2,}|h(?:a+h*|e+h+|ee+|o+h*|i+h+)|[bm]wa+h*"  # a laugh
    r"|a+h+|aa+|e+h+|ee+k?|o+h+|oo+|u+h+|a+w+|e+w+|o+w+|u+g+h+|a+r+g+h+|p?h+e+w+|whe+w+"
    r"|h+m+(?:ph)?|m+h*m+|u+m+|er+m|er|s+h+|tsk|pf+t?"
)


def check_words(
    text: str,
    transcript: str,
    recognizer_name: str,
    language: str,
    quality: Quality,
    respellings: Mapping[str, str] | None = None,
) -> tuple[Transcript, tuple[Problem, ...]]:
    """Compare a take's `transcript` with its `text`; return both with the word error, and the problems.

    Different spellings, written forms and short forms of a word are the same word; tags are not spoken. `language` is a
    code like "en" or "en-GB"; short forms and spellings are English. `respellings` of words that stand in the text, to
    the words that they stand for: either may be heard. There is at most one problem of each kind:

    - `missing`: at one place the transcript is `quality.stretch_words` words shorter than the text, or it lacks two
      words at the end;
    - `repeated`, `added`: as many extra words, which are in the text or not; `added` also for extra words at a tag, and
      `repeated` for two or more words that are said twice if they are at least half of the text;
    - `tag`: a tag is read aloud;
    - `words`: more word errors than the share `quality.word_error` of the text's words plus `quality.wrong_words`, no
      right word in a text of one or two, or another number in the place of one.
    """
    code = base_language(language)
    written, said = fold(text, code, respellings), fold(transcript, code)
    expected, heard = choose_readings(written, said, _remarks(said, transcript, text))
    expected, heard = join_compounds(expected, heard), join_compounds(heard, expected)
    wanted = {sound.word for sound in expected}
    heard = [sound for sound in heard if sound.word in wanted or not _is_noise(sound)]
    pairs = pair([sound.word for sound in expected], [sound.word for sound in heard])
    differing = gaps(pairs, len(expected), len(heard))
    errors = sum(gap.errors for gap in differing)
    found = {i for i, _ in pairs}
    evidence = Transcript(
        recognizer_name, transcript, errors / max(1, len(expected)), _unheard(expected, found, text.split())
    )
    stretches = gaps(pairs, len(expected), len(heard), _BRIDGE)
    problems = [
        *_missing(expected, found, stretches, text, quality),
        *_added(expected, heard, pairs, stretches, transcript, quality),
    ]
    tag = spoken_tag(text, expected, heard, differing)
    if tag is not None and all(problem.kind != tag.kind for problem in problems):
        problems.append(tag)
    if errors > quality.word_error * len(expected) + quality.wrong_words:
        counts = f"{plural(errors, 'word error')} in {plural(len(expected), 'word')}"
        problems.append(Problem("words", f"{counts}; heard: {_quote(transcript)}"))
    elif heard and not pairs and none_right(expected, heard):
        problems.append(Problem("words", f"no word of {_quote(text)} is heard; heard: {_quote(transcript)}"))
    elif (other := misread_number(written, expected, heard, pairs)) is not None:
        number, words = (" ".join(text.split()[place] for place in other[0].places), " ".join(other[1]))
        problems.append(Problem("words", f"{_quote(number)} is heard as another number: {_quote(words)}"))
    return evidence, tuple(problems)


def _remarks(parts: Sequence[Part], transcript: str, text: str) -> list[tuple[int, int]]:
    """The ranges of parts of a transcript that may be remarks."""
    starts = [part.start for part in parts]
    spans = ((bisect_left(starts, start), bisect_left(starts, end)) for start, end in find_remarks(transcript, text))
    return [(start, end) for start, end in spans if start < end]


def _is_noise(sound: Sound) -> bool:
    return _NOISE.fullmatch(sound.word) is not None


def _unheard(expected: Sequence[Sound], found: set[int], words: Sequence[str]) -> tuple[int, ...]:
    """The places of words of which less than half is heard."""
    whole, heard = [0] * len(words), [0] * len(words)
    for i, sound in enumerate(expected):
        for place in sound.places:
            whole[place] += 1
            heard[place] += i in found or _is_noise(sound)
    return tuple(place for place, count in enumerate(whole) if heard[place] * 2 < count)


def _missing(
    expected: Sequence[Sound], found: set[int], stretches: Sequence[Gap], text: str, quality: Quality
) -> list[Problem]:
    """The problem of the longest stretch that is not heard; without one, of a cut end."""
    words = text.split()
    if stretches and stretches[0].missing == len(expected) and not all(map(_is_noise, expected)):
        return [Problem("missing", f"no speech heard for: {_quote(text)}")]
    for gap in sorted(stretches, key=lambda gap: -gap.missing):
        at_end = gap.end == len(expected)
        least = min(_TAIL, quality.stretch_words) if at_end else quality.stretch_words
        if gap.missing < least:
            continue
        lost = [i for i in range(gap.start, gap.end) if i not in found and not _is_noise(expected[i])]
        if at_end and len(lost) < least:
            continue
        places = sorted({place for i in lost for place in expected[i].places})
        what = "the end is cut off: " if at_end else ""
        quoted = _quote(" ".join(words[p] for p in places))
        return [Problem("missing", f"{what}{plural(len(places), 'word')} not heard: {quoted}")]
    return []


def _added(
    expected: Sequence[Sound],
    heard: Sequence[Sound],
    pairs: Sequence[tuple[int, int]],
    stretches: Sequence[Gap],
    transcript: str,
    quality: Quality,
) -> list[Problem]:
    """The problem of the longest stretch of extra words: a repetition, or words that are not in the text."""
    longest = min(stretches, key=lambda gap: gap.missing, default=None)
    if longest is None:
        return []
    most_of_text = -longest.missing >= max(_FEWEST_TWICE, len(expected) / 2)
    if -longest.missing < quality.stretch_words and not (most_of_text and _twice(longest, heard)):
        return []
    paired = {j for _, j in pairs}
    extra = [j for j in range(longest.begin, longest.finish) if j not in paired]
    words = transcript.split()
    places = sorted({place for j in extra for place in heard[j].places})
    quoted = _quote(" ".join(words[place] for place in places))
    many = f"{plural(len(places), 'word')} {'is' if len(places) == 1 else 'are'}"
    if _in_text(extra, heard, expected) or _said_before(longest, heard):
        return [Problem("repeated", f"{many} said twice: {quoted}")]
    return [Problem("added", f"{many} not in the text: {quoted}")]


def _in_text(extra: Sequence[int], heard: Sequence[Sound], expected: Sequence[Sound]) -> bool:
    """Whether these words of the transcript are together in the text, even if misheard."""
    some, whole = (" ".join(words) for words in ((heard[j].word for j in extra), (s.word for s in expected)))
    return len(some) <= len(whole) and fuzz.partial_ratio(some, whole) >= _AGAIN


def _said_before(gap: Gap, heard: Sequence[Sound]) -> bool:
    """Whether the transcript repeats a run of as many words as the gap has extra ones, around the gap.

    Either of the two runs may be the extra one: words misheard both times are still a repetition.
    """
    words, count = [sound.word for sound in heard], -gap.missing
    return count <= _MOST_TWICE and any(
        fuzz.ratio(" ".join(words[at : at + count]), " ".join(words[at + count : at + 2 * count])) >= _AGAIN
        for at in range(max(0, gap.begin - count), gap.finish - count + 1)
    )


def _twice(gap: Gap, heard: Sequence[Sound]) -> bool:
    """Whether the extra words of a gap are the very words before or after them."""
    words, count = [sound.word for sound in heard], -gap.missing
    return count <= _MOST_TWICE and any(
        words[at : at + count] == words[at + count : at + 2 * count]
        for at in range(max(0, gap.begin - count), min(gap.finish, len(words) - 2 * count) + 1)
    )


def _quote(words: str) -> str:
    """Words in quotes, for a message; a long stretch is shortened to its beginning and its end."""
    parts = words.split()
    if len(parts) > 16:
        parts = [*parts[:8], "…", *parts[-7:]]
    return f"“{' '.join(parts)}”"
