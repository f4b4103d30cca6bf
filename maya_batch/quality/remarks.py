"""Finds what ASR writes into transcripts that is not spoken: remarks on sounds, and phrases heard in silence."""

import re
from collections.abc import Iterator

#: How ASR writes sounds that are not words: [laughter], (sighs), *coughs*, ♪ la la ♪.
_REMARK = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|\*[^*]*\*|♪[^♪]*♪|♪")

#: The most words of a remark. Longer ones are judged as words.
_LONGEST = 6

#: What Whisper writes for silence after the last word, since its training data has subtitles of films. Only the whole
#: phrase counts, and only as the last sentence.
_IN_SILENCE = re.compile(
    r"""(?:^|(?<=[.!?…"”’)\]♪])\s+) (?P<phrase> (?:
      you | bye (?:[\s-]bye)? | (?:okay,?\s)?thank\s you (?:\s(?:so|very)\s much)? | thanks
    | (?:thank\s you (?:\s(?:so|very)\s much)? | thanks) \s for \s (?:watching|listening|viewing) (?:\s this \s video)?
    | (?:please\s)? (?:like\s and\s)? subscribe (?:\s to \s (?:my|our|the) \s channel)?
    | (?:i'll\s)? see \s you (?:\s all)? (?:\s in \s the)? \s next \s (?:time|video)
    | (?:subtitles|captions|captioning|transcription|transcribed|translated) \s (?:made\s)? by \b
      [^.!?]{0,60} (?:\.org \s community)?
    | www\.[\w./-]{1,40}
    ) [.!?]* \s*)$""",
    re.VERBOSE | re.IGNORECASE,
)
#: The longest phrase, in characters: longer endings are not searched.
_PHRASE = 120


def find_remarks(transcript: str, text: str) -> Iterator[tuple[int, int]]:
    """The spans of a transcript that may be remarks, ascending; they do not overlap.

    A phrase that is heard in silence counts only if the text does not have it.
    """
    end = 0
    for match in _REMARK.finditer(transcript):
        if len(match[0].split()) <= _LONGEST:
            yield match.span()
            end = match.end()
    first = max(end, len(transcript) - _PHRASE)
    phrase = _IN_SILENCE.search(transcript.replace("’", "'"), first)
    if phrase is not None and _bare(phrase["phrase"]) not in _bare(text):
        yield phrase.span("phrase")


def _bare(text: str) -> str:
    words = " ".join(re.findall(r"\w+", text.casefold()))
    return f" {words} "
