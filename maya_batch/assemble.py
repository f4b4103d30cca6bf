"""Takes become a chapter's files: decoded clip by clip, stitched, written in every format, published by rename."""

from collections.abc import Iterator

from maya_batch.audio.export import TrackTags, write_chapter
from maya_batch.audio.stitch import Clip, is_silent, stitch
from maya_batch.plan import Chapter
from maya_batch.quality import Problem
from maya_batch.state import BookState
from maya_batch.store import Take
from maya_batch.waves import Waves


def assemble_chapter(state: BookState, chapter: Chapter, waves: Waves) -> float:
    """Write a complete chapter's files anew; the seconds of audio in it.

    A clip without any sound stays in the chapter as it is, and is put on record as a problem of its take.
    """
    silent: list[Take] = []
    book, layout = state.plan.book, state.plan.layout

    def clips() -> Iterator[Clip]:
        for chunk in chapter.chunks:
            take = state.take(chunk)
            if take is None:
                raise ValueError(f"chunk {chunk.ref} has no take")
            wave = waves.pop(take)
            if is_silent(wave):
                silent.append(take)
            yield Clip(wave, chunk.pause)

    pcm = stitch(
        clips(),
        start=book.pauses.chapter_start,
        end=book.pauses.chapter_end,
        sampling_rate=layout.sampling_rate,
    )
    tags = TrackTags(
        title=chapter.title,
        album=book.title,
        artist=book.author,
        track=chapter.number,
        tracks=len(state.plan.chapters),
        comment=state.mark(chapter),
    )
    seconds = write_chapter(pcm, state.targets(chapter), tags, layout.sampling_rate)
    for take in silent:
        length = layout.seconds(len(take.codes))
        state.store.note(take, Problem("silent", f"no sound in all of its {length:.1f} s"))
    state.stored([take.key for take in silent])
    return seconds
