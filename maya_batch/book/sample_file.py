"""The sample of a book: the beginning of one chapter as a file that stores and readers may have."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.writers import FORMATS, Target
from maya_batch.book.chapter_fingerprint import COMMENT_PREFIX
from maya_batch.book.chunk import Chunk
from maya_batch.book.state import BookState
from maya_batch.book.track_tags import track_tags
from maya_batch.manifest import Format


@dataclass(frozen=True)
class SampleFile:
    """The sample as it is to be written."""

    target: Target
    chunks: Sequence[Chunk]
    """The first ones of its chapter; the last one has no pause."""
    tags: TrackTags


def sample_path(state: BookState) -> Path:
    """The file of the sample. It is in the output folder in any layout: a library would take it for a chapter."""
    return state.folder / f"sample.{_format(state).type}"


def sample_of(state: BookState) -> SampleFile | None:
    """The sample that the book asks for; None if it asks for none, or its chapter is not complete."""
    asked = state.plan.book.sample
    chapter = next((each for each in state.plan.chapters if asked and each.number == asked.chapter), None)
    if asked is None or chapter is None or state.model_config is None or not state.complete(chapter):
        return None
    format_, book = _format(state), state.plan.book
    chunks = _beginning(state, [chunk for chunk in chapter.chunks if not state.omitted(chunk)], 60 * asked.minutes)
    if not chunks:
        return None
    made_of = state.fingerprint_in(replace(chapter, chunks=tuple(chunks), jingle=False), format_)
    digest = hashlib.sha256(f"sample {made_of}".encode()).hexdigest()[:32]
    tags = replace(
        track_tags(state.plan.manuscript, chapter, COMMENT_PREFIX + digest),
        title=f"{book.title} (sample)",
        album=f"{book.title} (sample)",  # players do not put it between the chapters
        track=1,
        tracks=1,
    )
    target = Target(sample_path(state), format_.type, format_.bitrate, format_.sample_rate, format_.mode)
    return SampleFile(target, chunks, tags)


def _format(state: BookState) -> Format:
    """The first format of the book; M4A where that is an M4B."""
    first = state.plan.book.output.audio[0]
    return first.model_copy(update={"type": "m4a"}) if FORMATS[first.type].of_book else first


def _beginning(state: BookState, chunks: Sequence[Chunk], seconds: float) -> list[Chunk]:
    """As many chunks as are spoken in this time, and at least one."""
    spoken, taken = 0.0, list[Chunk]()
    for chunk in chunks:
        take = state.take(chunk)
        spoken += state.plan.layout.seconds(len(take.codes)) if take is not None else 0.0
        if taken and spoken > seconds:
            break
        taken.append(chunk)
        spoken += chunk.pause
    return [*taken[:-1], replace(taken[-1], pause=0.0)] if taken else []
