r"""Parses a chapter's source text: paragraphs, speakers, pauses, tags and escapes.

`[anna]` gives the rest of a paragraph to another voice, `[pause 2s]` is a silence, `<laugh>` is a tag of the model,
and `\[ \] \< \> \\` stand for the characters themselves, as do `\* \_ \# \| \~ \&` and an escaped backtick. The
passages partition the source, so that nothing is dropped unnoticed; what cannot be parsed is a `TextProblem`.
"""

import re
from collections.abc import Collection

from maya_batch.messages.quoting import shorten
from maya_batch.text.emotion_tags import TAG, nearest
from maya_batch.text.note_marks import NOTE_IN_BRACKETS
from maya_batch.text.paragraphs import paragraphs
from maya_batch.text.passage import Passage, TextProblem
from maya_batch.text.passage_builder import PassageBuilder
from maya_batch.text.pauses import MOST_PAUSE, PAUSE_LIKE, pause_problem, pause_seconds
from maya_batch.text.rules import TEXT_RULES
from maya_batch.text.spoken_signs import WORDS_FOR, words_for

_MARKED = re.compile(r"[\\\[<]")
_MARKUP_AFTER_ESCAPES = rf"(?P<voice>\[[^\[\]\\<]*\])|(?P<open>\[)|(?P<tag>{TAG.pattern})|(?P<less><)"
_MARKUP = {
    1: re.compile(rf"(?P<escape>\\[\[\]<>\\])|{_MARKUP_AFTER_ESCAPES}"),  # pinned
    2: re.compile(rf"(?P<escape>\\[\[\]<>\\*_#|~&`])|{_MARKUP_AFTER_ESCAPES}"),
}
_TAG_LIKE = re.compile(r"<\s*+/?\s*+([A-Za-z][\w -]{0,30}?)\s*/?>")
_QUOTED = 30
"""Characters of the source quoted in a problem."""
_GLANCE = 1000
"""Characters of the source examined for a quote."""
_MOST_PASSAGES = 200_000
"""The most passages of a text: weeks of speech."""
_MOST_PROBLEMS = 10_000
"""The most problems reported, of tags and of others each: a file of the wrong kind has millions."""


_CLOSING = re.compile(r"[^\w\s\[<\\(“‘„«‹]+(?=\s|$)")
"""Quotes, brackets and punctuation after a pause that belong to the words before it."""


def parse_script(
    source: str, voices: Collection[str], tags: Collection[str], rules: int = TEXT_RULES
) -> tuple[list[Passage], list[TextProblem]]:
    r"""Parse a chapter's source text, whose lines end in "\n" alone.

    `voices` are the names allowed in `[name]`, `tags` those allowed in `<name>`. Returns the passages in
    order, whose spans partition the source if there is any passage, and the problems by offset. A run with
    nothing to speak is a problem and no passage; a tag that is a problem with `tag=True` stays in the text
    as written.
    """
    reader = _Reader(source, voices, tags, rules)
    number = 0
    for paragraph in paragraphs(source, rules):
        if paragraph.is_scene_break:
            if reader.runs:
                reader.runs[-1].scene_breaks += 1
            continue
        reader.read(paragraph.start, paragraph.end, number)
        if len(reader.runs) > _MOST_PASSAGES:
            mend = "split the book into several"
            return [], [TextProblem(paragraph.start, f"the text has more than {_MOST_PASSAGES:,} paragraphs", mend)]
        number += 1
    problems = sorted(reader.problems, key=lambda problem: problem.offset)
    runs = reader.runs
    if not runs:
        if not problems:
            problems = [TextProblem(0, "the chapter has no text to speak")]
        return [], problems
    runs[0].start = 0
    runs[0].pause_before = reader.opening
    ends = [run.start for run in runs[1:]] + [len(source)]
    return [run.passage(end) for run, end in zip(runs, ends, strict=True)], problems


class _Reader:
    """Parses the paragraphs of one source and collects their problems."""

    def __init__(self, source: str, voices: Collection[str], tags: Collection[str], rules: int) -> None:
        self.source = source
        self.voices = voices
        self.tags = tags
        self.rules = rules
        self.runs: list[PassageBuilder] = []
        self.opening = 0.0  # seconds of the pauses before the first run
        self.problems: list[TextProblem] = []
        self.told = {True: 0, False: 0}

    def read(self, start: int, end: int, paragraph: int) -> None:
        """Append the speakable runs of the paragraph source[start:end]."""
        run = PassageBuilder(start, paragraph=paragraph)
        at = start
        if _MARKED.search(self.source, start, end):
            for found in _MARKUP[min(self.rules, 2)].finditer(self.source, start, end):
                self._keep(run, at, found.start())
                at = found.end()
                raw = found.group()
                if found.lastgroup == "voice" and raw[1:-1] in self.voices:
                    if found.start() > start:
                        self._end(run, found.start())
                    run = PassageBuilder(found.start(), voice=raw[1:-1], paragraph=paragraph)
                elif self.rules > 1 and found.lastgroup == "voice" and PAUSE_LIKE.fullmatch(raw):
                    run = self._pause(run, found.start(), at, raw)
                    at = max(at, run.start)
                else:
                    self._read(run, found)
        self._keep(run, at, end)
        self._end(run, end)

    def _pause(self, run: PassageBuilder, start: int, end: int, raw: str) -> PassageBuilder:
        """Read a pause; return the run that goes on after it."""
        seconds = pause_seconds(raw)
        if seconds is None:
            self._problem(start, *pause_problem(raw))
            return run
        after = run
        if run.is_speakable():
            self.runs.append(run)
            if closing := _CLOSING.match(self.source, end):
                run.close(closing.group(), end)
                end = closing.end()
            after = PassageBuilder(end, voice=run.voice, paragraph=run.paragraph, is_continued=True)
        if self.runs:
            self.runs[-1].add_pause(seconds)
        else:
            self.opening += seconds
        if (self.runs[-1].pause_after if self.runs else self.opening) > MOST_PAUSE:  # type: ignore[operator]
            what = f"the pauses up to here come to more than {MOST_PAUSE:.0f} seconds"
            self._problem(start, what, "write shorter ones")
        return after

    def _end(self, run: PassageBuilder, end: int) -> None:
        """Append a run that can be spoken, and report any other that has text or a voice."""
        if run.is_speakable():
            self.runs.append(run)
        elif run.is_continued:
            self.runs[-1].join(run)  # a closing quote, after a pause
        elif any(not part.isspace() for part in run.parts):
            what = f"nothing here can be spoken: {_quote(self.source[run.start : end])}"
            self._problem(run.start, what, "write words, or delete it")
        elif run.voice is not None:
            mend = "write text after the name, or delete the name"
            self._problem(run.start, f"[{run.voice}] says nothing", mend)

    def _read(self, run: PassageBuilder, found: re.Match[str]) -> None:
        """Add one piece of markup, other than a speaker's name, to the run."""
        start, end, raw = found.start(), found.end(), found.group()
        match found.lastgroup:
            case "escape" if raw[1] in WORDS_FOR:
                self._say(run, raw[1], start, end)
            case "escape":
                run.add_for(raw[1], start, end)
            case "tag" if self._check_tag(start, raw):
                self._keep(run, start, end)
            case "tag":
                self._say(run, "<", start, start + 1)
                self._keep(run, start + 1, end)
            case "less":
                self._stray(start)
                self._say(run, "<", start, end)
            case "voice" if self.rules > 1 and NOTE_IN_BRACKETS.fullmatch(raw):
                self._keep(run, start, end)  # the marks are stripped or refused later
            case _:
                self._bracket(start, raw)
                self._keep(run, start, end)

    def _keep(self, run: PassageBuilder, start: int, end: int) -> None:
        """Append source[start:end] unchanged."""
        run.add(self.source[start:end].replace("\n", " ").replace("\f", " "), start)

    def _say(self, run: PassageBuilder, character: str, start: int, end: int) -> None:
        """Append the words for `character` in place of source[start:end], set off by spaces."""
        before = run.parts[-1][-1] if run.parts else " "
        lead, words = words_for(character, before, self.source[end : end + 1] or " ")
        run.add(lead, start)
        run.add_for(words, start, end)

    def _check_tag(self, offset: int, raw: str) -> bool:
        """Report a tag that the model does not have; return whether its raw text may stay."""
        name = raw.strip("</>")
        if raw == f"<{name}>" and name in self.tags:
            return True
        # A name with a digit may be a special token (<custom_token_5>): no flag lets it through.
        harmless = not any(c.isdigit() for c in name)
        if self._is_enough(tag=harmless):
            return harmless
        close = nearest(name, self.tags)
        if raw.startswith("</"):
            what = f"{raw} is a closing tag: the model has none, and reads it aloud or loops"
            mend = "delete it: a tag affects what comes after it"
        else:
            what = f"{raw} is not a tag of the model"
            write = f"write <{close}>, or " if close else ""
            mend = rf"{write}write \< if the character itself is meant"
        self._problem(offset, what, mend, tag=harmless)
        return harmless

    def _stray(self, offset: int) -> None:
        if self._is_enough():
            return
        like = _TAG_LIKE.match(self.source, offset)
        close = nearest(like[1], self.tags) if like else None
        write = f"write <{close}>, or " if close else ""
        what = f"this < does not start a tag: {_quote(self.source[offset : offset + _QUOTED + 1])}"
        self._problem(offset, what, rf"{write}write \< if the character itself is meant")

    def _bracket(self, offset: int, raw: str) -> None:
        if self._is_enough():
            return
        if raw == "[":
            what = f"this [ has no ] that closes it: {_quote(self.source[offset : offset + _QUOTED + 1])}"
            self._problem(offset, what, r"write \[ if the character itself is meant")
            return
        name = raw[1:-1]
        close = nearest(name, self.voices)
        write = f"write [{close}], or " if close else ""
        escaped = rf"\[{name}\]" if len(name) <= _QUOTED and "\n" not in name else r"\[ and \]"
        mend = f"{write}write {escaped} if it is to be read as text"
        self._problem(offset, f"{_quote(raw)} names no voice", mend)

    def _problem(self, offset: int, what: str, mend: str, tag: bool = False) -> None:
        if not self._is_enough(tag):
            self.told[tag] += 1
            self.problems.append(TextProblem(offset, what, mend, tag))

    def _is_enough(self, tag: bool = False) -> bool:
        return self.told[tag] >= _MOST_PROBLEMS


def _quote(text: str) -> str:
    return shorten(" ".join(text[:_GLANCE].split()), _QUOTED)
