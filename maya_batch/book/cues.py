"""When each sentence of a chapter is spoken: for subtitles, EPUBs that speak, and pages to listen by."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from maya_batch.audio.chapter_file import read_comment
from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.sentence_times import ClipPauses, expected_length, sentence_times
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


@dataclass(frozen=True)
class TimedClip:
    """A chunk's sound in its chapter's file."""

    pauses: ClipPauses
    lead: float | None = None
    """Seconds before its first sound in its take; None if it is not measured."""


def chapter_cues(state: BookState, chapter: Chapter) -> tuple[Cue, ...]:
    """The cues of a chapter, in order; none unless all of its chunks have takes.

    Chunks that are left out of the chapter have none. The times are those of the chapter's file; without a current one,
    or with one that an earlier version wrote, they follow from the lengths of takes and texts.
    """
    if state.model_config is None or not state.complete(chapter):
        return ()
    clips = _measured(state, chapter) or _estimated(state, chapter)
    cues = list[Cue]()
    for chunk, group in groupby(chapter_sentences(state.plan, chapter), lambda sentence: sentence.chunk):
        if (clip := clips.get(chunk.index)) is None:
            continue
        sentences = list(group)
        lengths = [expected_length(sentence.spoken) for sentence in sentences]
        times = sentence_times(lengths, clip.pauses, _heard(state, chunk, sentences, clip))
        for sentence, (start, end) in zip(sentences, times, strict=True):
            cues.append(Cue(chunk, start, end, sentence.text, sentence.span))
    return tuple(cues)


def has_times(state: BookState, chapter: Chapter) -> bool:
    """Whether it is measured where the clips of a current chapter are."""
    return bool(_measured(state, chapter))


def _measured(state: BookState, chapter: Chapter) -> dict[int, TimedClip]:
    """What was measured of the chunks when the chapter's file was written, by their index; none if it is not known."""
    if not state.current(chapter):
        return {}
    sound = state.chapter_sounds.get(read_comment(state.output.targets(chapter)[0].path) or "")
    if sound is None:
        return {}
    found = {}
    for chunk in chapter.chunks:
        if state.omitted(chunk):
            continue
        clip = sound.clips.get(str(chunk.index))
        if clip is None or clip.spoken is None:
            return {}
        start, end = clip.spoken
        pauses = [(begin / 1000, stop / 1000) for begin, stop in clip.quiet]
        found[chunk.index] = TimedClip(ClipPauses(start / 1000, end / 1000, pauses), clip.lead / 1000)
    return found


def _estimated(state: BookState, chapter: Chapter) -> dict[int, TimedClip]:
    """The same by the lengths of the takes, and of the file if that is known."""
    layout, pauses, jingle = state.plan.layout, state.plan.pauses, state.plan.manuscript.jingle
    chunks = [chunk for chunk in chapter.chunks if not state.omitted(chunk)]
    takes = [state.take(chunk) for chunk in chunks]
    dropped = layout.clip_start_samples / layout.sampling_rate
    lengths = [max(0.0, layout.seconds(len(take.codes)) - dropped) for take in takes if take is not None]
    first = pauses.chapter_start + chapter.chunks[0].pause_before
    if chapter.jingle and jingle is not None:
        first += jingle.seconds + pauses.after_jingle
    known = state.chapter_stats.get(read_comment(state.output.targets(chapter)[0].path) or "")
    if known is not None and chunks:
        # What is missing was silence at the edges of the clips, which is cut.
        whole = first + sum(lengths) + sum(chunk.pause for chunk in chunks) + pauses.chapter_end
        cut = max(0.0, whole - known.seconds) / len(chunks)
        lengths = [max(0.0, length - cut) for length in lengths]
    found, at = {}, first
    for chunk, length in zip(chunks, lengths, strict=True):
        found[chunk.index] = TimedClip(ClipPauses(at, at + length))
        at += length + chunk.pause
    return found


def _heard(state: BookState, chunk: Chunk, sentences: Sequence[SpokenSentence], clip: TimedClip) -> list[float | None]:
    """Where the sentences of a chunk begin by the recognizer, in seconds from the start of the chapter's file."""
    take = state.take(chunk)
    if clip.lead is None or take is None or take.transcript is None or len(sentences) < 2:
        return []
    from maya_batch.quality.word_times import heard_starts

    starts = heard_starts([sentence.spoken for sentence in sentences], take.transcript, state.plan.book.language)
    return [None if start is None else clip.pauses.start + start - clip.lead for start in starts]
