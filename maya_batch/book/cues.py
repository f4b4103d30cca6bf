"""When each sentence of a chapter is spoken: for subtitles, EPUBs that speak, and pages to listen by."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from maya_batch.audio.chapter_file import read_comment
from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.spoken_sentences import SpokenSentence, chapter_sentences
from maya_batch.book.state import BookState


@dataclass(frozen=True)
class Cue:
    """A sentence, or the part of a longer one, that one chunk speaks, and when."""

    chunk: Chunk
    start: float
    """Where its first sound is, in seconds from the start of the chapter's file; `end` is where its last sound ends.
    Cues do not overlap.
    """
    end: float
    text: str
    """As it is written, in one line, without markup and emotion tags; a tag alone is in brackets, like [laugh]."""
    span: tuple[int, int] | None
    """Start and end in the chapter's text, in characters; None for the title, which is no part of it."""


def chapter_cues(state: BookState, chapter: Chapter) -> tuple[Cue, ...]:
    """The cues of a chapter, in order; none unless all of its chunks have takes.

    Chunks that are left out of the chapter have none.
    """
    if state.model_config is None or not state.complete(chapter):
        return ()
    times = _clip_times(state, chapter)
    cues = list[Cue]()
    for chunk, sentences in groupby(chapter_sentences(state.plan, chapter), lambda sentence: sentence.chunk):
        if chunk.index in times:
            cues += _cues(list(sentences), *times[chunk.index])
    return tuple(cues)


def _clip_times(state: BookState, chapter: Chapter) -> dict[int, tuple[float, float]]:
    """Start and end of each chunk's sound in the chapter's file, by its index."""
    layout, pauses, jingle = state.plan.layout, state.plan.pauses, state.plan.manuscript.jingle
    chunks = [chunk for chunk in chapter.chunks if not state.omitted(chunk)]
    lengths = []
    for chunk in chunks:
        take = state.take(chunk)
        frames = 0 if take is None else len(take.codes)
        lengths.append(max(0.0, layout.seconds(frames) - layout.clip_start_samples / layout.sampling_rate))
    at = pauses.chapter_start + chapter.chunks[0].pause_before
    if chapter.jingle and jingle is not None:
        at += jingle.seconds + pauses.after_jingle
    known = state.chapter_stats.get(read_comment(state.targets(chapter)[0].path) or "")
    if known is not None and chunks:
        # The silence at the edges of clips is cut.
        whole = at + sum(lengths) + sum(chunk.pause for chunk in chunks) + pauses.chapter_end
        cut = (whole - known[0]) / len(chunks)
        lengths = [max(0.0, length - cut) for length in lengths]
    times = {}
    for chunk, length in zip(chunks, lengths, strict=True):
        times[chunk.index] = (at, at + length)
        at += length + chunk.pause
    return times


def _cues(sentences: Sequence[SpokenSentence], start: float, end: float) -> list[Cue]:
    """The cues of one chunk's sentences, by the lengths of their texts."""
    weights = [len(sentence.spoken) for sentence in sentences]
    each, cues = (end - start) / max(1, sum(weights)), list[Cue]()
    for sentence, weight in zip(sentences, weights, strict=True):
        stop = end if sentence is sentences[-1] else start + each * weight
        cues.append(Cue(sentence.chunk, start, stop, sentence.text, sentence.span))
        start = stop
    return cues
