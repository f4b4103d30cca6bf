"""The sentences of a book and the part of a sound file that speaks each: what media overlays are made of."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from maya_batch.audio.chapter_file import read_comment
from maya_batch.audio.writers import Target
from maya_batch.book.chunk import Chapter
from maya_batch.book.cues import Cue, chapter_cues
from maya_batch.book.spoken_sentences import chapter_sentences
from maya_batch.book.state import BookState

_BEFORE = 0.15
"""Seconds of silence that a sentence begins with, if there are so many: its first sound may be soft."""


@dataclass(frozen=True)
class SpokenText:
    """A sentence in the sound of its chapter."""

    text: str
    span: tuple[int, int] | None
    """As in `SpokenSentence`."""
    start: float | None
    """Seconds, where its part of the sound begins; it ends where the next one begins. None if it is not spoken."""


@dataclass(frozen=True)
class SpokenChapter:
    """A chapter with its sound."""

    chapter: Chapter
    audio: Path
    seconds: float
    """The length of the sound; all of it is played, silence included."""
    texts: tuple[SpokenText, ...]


def spoken_chapters(state: BookState) -> list[SpokenChapter]:
    """All chapters of a book that asks for such an EPUB and whose files are current."""
    return [
        _spoken(state, chapter, target)
        for chapter in state.plan.chapters
        if (target := state.output.epub_target(chapter))
    ]


def _spoken(state: BookState, chapter: Chapter, target: Target) -> SpokenChapter:
    stats = state.chapter_stats.get(read_comment(state.output.targets(chapter)[0].path) or "")
    seconds = stats.seconds if stats is not None else _length(target.path)
    cues = defaultdict[int, list[Cue]](list)
    for cue in chapter_cues(state, chapter):
        cues[cue.chunk.index].append(cue)
    texts, ended = list[SpokenText](), 0.0
    for sentence in chapter_sentences(state.plan, chapter):
        start = None
        if waiting := cues[sentence.chunk.index]:
            cue = waiting.pop(0)
            start, ended = max(ended, cue.start - _BEFORE), cue.end
        texts.append(SpokenText(sentence.text, sentence.span, start))
    return SpokenChapter(chapter, target.path, seconds, tuple(texts))


def _length(path: Path) -> float:
    """The length of a file, where chapters.json was lost; it counts the silence that encoders add."""
    import mutagen

    return float(mutagen.File(path).info.length)
