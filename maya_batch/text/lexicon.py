"""The pronunciation lexicon: finds its words and phrases in a text, and how they are spoken.

A text is split into words, signs and spaces, and the entries are a tree of these, so that one pass finds the longest
entry at each place, in a time that does not depend on the number of entries.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from maya_batch.text.emotion_tags import TAG
from maya_batch.text.passage import Change, Passage, Replacement, TextProblem
from maya_batch.text.rewriting import Rewriter

RULE = "lexicon"
"""The rule's name in changes."""

#: Combining marks, which are part of a word: of Latin, Greek and Cyrillic letters, Hebrew and Arabic points.
_MARKS = "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u064b-\u065f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_LETTER = re.compile(rf"[^\W_]|[{_MARKS}]")
# Possessive: otherwise the regex engine would keep a backtracking point for each letter. "1,500" and "6:45" are words.
_TOKEN = re.compile(
    rf"(?P<tag>{TAG.pattern})|(?P<word>(?:[^\W_]++|[{_MARKS}]|(?<=\d)[.,:/](?=\d))++)|(?P<space>\s++)|(?P<sign>.)",
    re.DOTALL,
)
_SPACES = re.compile(r"\s+")
_APOSTROPHES = "'’ʼ＇"
_SAME = str.maketrans(dict.fromkeys("’ʼ＇", "'") | dict.fromkeys("‐‑", "-"))
#: Inside of a longer word if there are letters or digits on both sides: "O'Brien", "U.S.A", "anna@b", "a_b".
_JOINS = frozenset(".@_" + _APOSTROPHES)
#: What a word may carry without being another one: "Anna's", "Anna'll", not "don't".
_SUFFIX = re.compile(rf"[{_APOSTROPHES}](?:s|d|ll|ve|re|m)(?![^\W_]|[{_APOSTROPHES}]\w)", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """A word or phrase, and what is spoken for it."""

    word: str
    respelling: str
    voice: str | None = None
    """The only voice that it is for; None: all voices."""
    exact: bool = False
    """Whether capitals and small letters must be as in `word`."""


@dataclass
class _Node:
    """What may follow a part of an entry; `entries` are those that end here, the first that fits wins."""

    following: dict[str, "_Node"] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)


class Lexicon:
    """Entries, compiled to find them in texts.

    Only whole words match: letters and digits must not go on before or after the entry, nor past an apostrophe, a full
    stop, `@` or `_` ("Brien" is not in "O'Brien", "Don" not in "don't"). Endings like 's stay after the respelling. A
    part of a hyphenated compound is a whole word. Any white space matches a space, any apostrophe an apostrophe;
    accents count, case does not unless the entry is `exact`. Of several entries at a place the longest wins, then one
    for the voice, then an exact one.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """Compile the entries; of two that match the same words, the first is used, and both are in `duplicates`."""
        self.entries = tuple(entries)
        self.duplicates: list[tuple[int, int]] = []
        """The indices of each entry that is a duplicate, and of the first one for its words."""
        self._root = _Node()
        known: dict[tuple[str, str | None, bool], int] = {}
        for index, entry in enumerate(self.entries):
            form = _plain(entry.word)
            name = form if entry.exact else _folded(form), entry.voice, entry.exact
            if name in known:
                self.duplicates.append((index, known[name]))
                continue
            known[name] = index
            node = self._root
            for token in _TOKEN.finditer(form):
                node = node.following.setdefault(_folded(token.group()), _Node())
            node.entries.append(entry)
            node.entries.sort(key=lambda entry: (entry.voice is None, not entry.exact))

    def find(self, text: str, voice: str) -> Iterator[tuple[int, int, Entry]]:
        """Yield the entries of a voice in a text in order, each with its span; never inside a tag."""
        tokens = list(_TOKEN.finditer(text))
        at = 0
        while at < len(tokens):
            found = self._longest(text, tokens, at, voice)
            if found is None:
                at += 1
                continue
            at, entry = found
            yield entry[0], entry[1], entry[2]

    def entry(self, written: str, voice: str) -> Entry | None:
        """The entry that stands for exactly these words of a voice; None without one."""
        text = _SPACES.sub(" ", written.strip())
        return next((entry for start, end, entry in self.find(text, voice) if (start, end) == (0, len(text))), None)

    def rewriter(self, usual_voice: str) -> Rewriter:
        """The rule that replaces the entries of a passage's voice; `usual_voice` reads where no other is named."""

        def rewrite(passage: Passage) -> tuple[Sequence[Replacement], Sequence[TextProblem]]:
            text, voice = passage.text, passage.voice or usual_voice
            found = self.find(text, voice)
            return [
                Replacement(start, end, spoken_for(entry, text[start:end]), RULE) for start, end, entry in found
            ], ()

        return rewrite

    def _longest(
        self, text: str, tokens: Sequence[re.Match[str]], first: int, voice: str
    ) -> tuple[int, tuple[int, int, Entry]] | None:
        """The longest entry that starts at a token, and the token after it."""
        node, best = self._root, None
        for at in range(first, len(tokens)):
            following = node.following.get(_folded(tokens[at].group()))
            if following is None:
                break
            node = following
            if node.entries:
                start, end = tokens[first].start(), tokens[at].end()
                entry = _chosen(node.entries, text[start:end], voice)
                if entry is not None and _is_whole(text, start, end):
                    best = at + 1, (start, end, entry)
        return best


def spoken_for(entry: Entry, written: str) -> str:
    """What is spoken for an entry where a text has it as `written`.

    It is the respelling as it stands. Only where the text has a capital at the start and the entry's word has none, a
    respelling without capitals gets one, too. It is never set in capitals, which a voice may spell out.
    """
    respelling = unicodedata.normalize("NFC", entry.respelling)
    if _starts_upper(written) and not _starts_upper(entry.word) and respelling == respelling.lower():
        at = next((i for i, character in enumerate(respelling) if character.isalpha()), 0)
        return respelling[:at] + respelling[at].upper() + respelling[at + 1 :]
    return respelling


def respellings(changes: Iterable[Change]) -> Mapping[str, str]:
    """Of a chunk's changes, what the lexicon has it say, and the words that it stands for."""
    return {change.spoken: change.written for change in changes if change.rule == RULE}


def _starts_upper(text: str) -> bool:
    first = next((character for character in text if character.isalpha()), "")
    return first != first.lower()


def _chosen(entries: Sequence[Entry], written: str, voice: str) -> Entry | None:
    fitting = (entry for entry in entries if entry.voice in (None, voice))
    return next((entry for entry in fitting if not entry.exact or _plain(entry.word) == _plain(written)), None)


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether text[start:end], which are whole words and signs, is not a part of a longer word."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if _LETTER.match(text, start) and len(before) == 2 and before[1] in _JOINS and _LETTER.match(before[0]):
        return False
    if not _LETTER.match(text, end - 1):
        return text[end - 1] not in _JOINS or not _LETTER.match(after)
    if len(after) < 2 or after[0] not in _JOINS or not _LETTER.match(after[1]):
        return True
    return _SUFFIX.match(text, end) is not None


def _plain(text: str) -> str:
    """A text with one form of each letter, apostrophe, hyphen and space."""
    return _SPACES.sub(" ", unicodedata.normalize("NFC", text).translate(_SAME)).strip()


def _folded(token: str) -> str:
    """The form in which words, signs and spaces are compared."""
    if token.isascii():
        return " " if token.isspace() else token.lower()
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", token).translate(_SAME).casefold())
    return " " if folded.isspace() else folded
