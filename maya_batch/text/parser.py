r"""Parses a chapter's source text: paragraphs, speakers, tags and escapes.

Blank lines separate paragraphs, `[anna]` gives the rest of a paragraph to another voice, `<laugh>` is a
tag of the model, and `\[ \] \< \> \\` stand for the characters themselves. The passages partition the
source, so that nothing is dropped unnoticed; what cannot be parsed is a `TextProblem`.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from maya_batch.messages.quoting import shorten
from maya_batch.text.emotion_tags import TAG, nearest
from maya_batch.text.passage import Passage, TextProblem
from maya_batch.text.rules import TEXT_RULES

# A line that is not blank, and the lines after it up to a blank one.
_PARAGRAPH = re.compile(r"\S[^\n]*+(?:\n(?=[^\S\n]*+\S)[^\n]*+)*+")
_MARKED = re.compile(r"[\\\[<]")
_MARKUP = re.compile(
    rf"(?P<escape>\\[\[\]<>\\])|(?P<voice>\[[^\[\]\\<]*\])|(?P<open>\[)|(?P<tag>{TAG.pattern})|(?P<less><)"
)
_TAG_LIKE = re.compile(r"<\s*+/?\s*+([A-Za-z][\w -]{0,30}?)\s*/?>")
_SPEAKABLE = re.compile(r"[^\W_]")
_SCENE_BREAK = frozenset("*-–—_#~•·⁂.")
# Spoken as words, because the tokenizer would take `<...>` for a tag or a special token.
_WORDS_FOR = {"<": "less than", ">": "greater than"}
_NO_SPACE_AFTER = frozenset("([{“‘\"'")
_NO_SPACE_BEFORE = frozenset(".,;:!?)]}”’\"'")
_QUOTED = 30
"""Characters of the source quoted in a problem."""
_GLANCE = 1000
"""Characters of the source examined for a quote."""
_MOST_PASSAGES = 200_000
"""The most passages of a text: weeks of speech."""
_MOST_PROBLEMS = 10_000
"""The most problems reported, of tags and of others each: a file of the wrong kind has millions."""


@dataclass
class _Run:
    """A passage being parsed: its clean text so far, and where each part of it came from."""

    start: int
    voice: str | None = None
    paragraph: int = 0
    scene_breaks: int = 0
    parts: list[str] = field(default_factory=list)
    length: int = 0
    text_marks: list[int] = field(default_factory=list)
    source_marks: list[int] = field(default_factory=list)

    def add(self, text: str, offset: int) -> None:
        """Append `text`, which equals the source from `offset` on."""
        if text:
            self.text_marks.append(self.length)
            self.source_marks.append(offset)
            self.parts.append(text)
            self.length += len(text)

    def add_for(self, text: str, start: int, end: int) -> None:
        """Append `text` in place of source[start:end]: its first character maps to `start`, the rest to `end`."""
        self.add(text[0], start)
        self.text_marks += (self.length, self.length + len(text) - 1)
        self.source_marks += (end, end)
        if len(text) > 1:
            self.parts.append(text[1:])
            self.length += len(text) - 1

    def passage(self, end: int) -> Passage:
        text = "".join(self.parts)
        lead = len(text) - len(text.lstrip())
        return Passage(
            paragraph=self.paragraph,
            voice=self.voice,
            start=self.start,
            end=end,
            text=text.strip(),
            scene_breaks_after=self.scene_breaks,
            text_marks=tuple(mark - lead for mark in self.text_marks),
            source_marks=tuple(self.source_marks),
        )


def parse_script(
    source: str, voices: Collection[str], tags: Collection[str], rules: int = TEXT_RULES
) -> tuple[list[Passage], list[TextProblem]]:
    r"""Parse a chapter's source text, whose lines end in "\n" alone.

    `voices` are the names allowed in `[name]`, `tags` those allowed in `<name>`. Returns the passages in
    order, whose spans partition the source if there is any passage, and the problems by offset. A run with
    nothing to speak is a problem and no passage; a tag that is a problem with `tag=True` stays in the text
    as written.
    """
    reader = _Reader(source, voices, tags)
    runs: list[_Run] = []
    paragraph = 0
    for found in _PARAGRAPH.finditer(source):
        start = found.start()
        content = found.group().rstrip()
        if _is_scene_break(content):
            if runs:
                runs[-1].scene_breaks += 1
            continue
        for run in reader.runs(start, start + len(content)):
            run.paragraph = paragraph
            runs.append(run)
        if len(runs) > _MOST_PASSAGES:
            mend = "split the book into several"
            return [], [TextProblem(start, f"the text has more than {_MOST_PASSAGES:,} paragraphs", mend)]
        paragraph += 1
    problems = sorted(reader.problems, key=lambda problem: problem.offset)
    if not runs:
        if not problems:
            problems = [TextProblem(0, "the chapter has no text to speak")]
        return [], problems
    runs[0].start = 0
    ends = [run.start for run in runs[1:]] + [len(source)]
    return [run.passage(end) for run, end in zip(runs, ends, strict=True)], problems


def _is_scene_break(content: str) -> bool:
    if content[0] not in _SCENE_BREAK:
        return False
    used = set(content)
    dots = content.count(".") if "." in used else 3
    return dots >= 3 and all(c in _SCENE_BREAK or c.isspace() for c in used)


class _Reader:
    """Parses the paragraphs of one source and collects their problems."""

    def __init__(self, source: str, voices: Collection[str], tags: Collection[str]) -> None:
        self.source = source
        self.voices = voices
        self.tags = tags
        self.problems: list[TextProblem] = []
        self.told = {True: 0, False: 0}

    def runs(self, start: int, end: int) -> Iterator[_Run]:
        """Yield the speakable runs of the paragraph source[start:end]."""
        run = _Run(start)
        at = start
        if _MARKED.search(self.source, start, end):
            for found in _MARKUP.finditer(self.source, start, end):
                self._keep(run, at, found.start())
                at = found.end()
                if found.lastgroup == "voice" and found.group()[1:-1] in self.voices:
                    if found.start() > start and self._is_speakable(run, found.start()):
                        yield run
                    run = _Run(found.start(), voice=found.group()[1:-1])
                else:
                    self._read(run, found)
        self._keep(run, at, end)
        if self._is_speakable(run, end):
            yield run

    def _read(self, run: _Run, found: re.Match[str]) -> None:
        """Add one piece of markup, other than a speaker's name, to the run."""
        start, end, raw = found.start(), found.end(), found.group()
        match found.lastgroup:
            case "escape" if raw[1] in _WORDS_FOR:
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
            case _:
                self._bracket(start, raw)
                self._keep(run, start, end)

    def _keep(self, run: _Run, start: int, end: int) -> None:
        """Append source[start:end] unchanged."""
        run.add(self.source[start:end].replace("\n", " "), start)

    def _say(self, run: _Run, character: str, start: int, end: int) -> None:
        """Append the words for `character` in place of source[start:end], set off by spaces."""
        before = run.parts[-1][-1] if run.parts else " "
        after = self.source[end : end + 1] or " "
        if not before.isspace() and before not in _NO_SPACE_AFTER:
            run.add(" ", start)
        space = "" if after.isspace() or after in _NO_SPACE_BEFORE else " "
        run.add_for(_WORDS_FOR[character] + space, start, end)

    def _is_speakable(self, run: _Run, end: int) -> bool:
        if any(map(_SPEAKABLE.search, run.parts)):
            return True
        if any(not part.isspace() for part in run.parts):
            what = f"nothing here can be spoken: {_quote(self.source[run.start : end])}"
            self._problem(run.start, what, "write words, or delete it")
        elif run.voice is not None:
            mend = "write text after the name, or delete the name"
            self._problem(run.start, f"[{run.voice}] says nothing", mend)
        return False

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
