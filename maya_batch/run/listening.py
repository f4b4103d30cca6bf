"""Gathers what listen.html shows: the text with the times of its sentences, and the takes to compare."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import MappingProxyType

from maya_batch.audio.m4b import chapter_starts
from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.book.book_files import book_files, has_book_file
from maya_batch.book.chunk import Chapter, Chunk
from maya_batch.book.cues import Cue, chapter_cues
from maya_batch.book.spoken_sentences import SpokenSentence, chapter_sentences
from maya_batch.book.state import BookState
from maya_batch.report.inline_parts import file_link
from maya_batch.report.listen_page import (
    ListenBook,
    ListenChapter,
    ListenChunk,
    ListenFile,
    ListenSentence,
    ListenTake,
)
from maya_batch.report.model import MOST_TAKES, Report, worst_takes
from maya_batch.run.take_clips import take_clip

MOST_CHOSEN = 200
"""The most chunks with a chosen take whose takes get clips here; most clips were made when their takes were."""

#: What is between two paragraphs of a text.
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")

#: By the suffix of a file, as browsers name what they can play.
MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "wav": "audio/wav",
        "mp3": "audio/mpeg",
        "flac": "audio/flac",
        "opus": "audio/ogg; codecs=opus",
        "m4a": "audio/mp4",
        "m4b": "audio/mp4",
    }
)


def listen_book(state: BookState, report: Report, waveforms: WaveformCache | None = None) -> ListenBook:
    """What the page shows of a book.

    Takes have their stored clips. If the codec is loaded, the takes of the `MOST_TAKES` worst chunks with problems, and
    of those where a take was chosen, get the clips that they lack.

    Raises:
        MachineError: a clip cannot be written, a file cannot be read, or ffmpeg is missing or failed.
    """
    reports = {chunk.ref: chunk for chunk in report.chunks}
    worst = [chunk for chunk in worst_takes(report.chunks) if chunk.problems]
    chosen = [chunk for chunk in report.chunks if chunk.chosen]
    compared = {chunk.ref for chunk in (*worst[:MOST_TAKES], *chosen[:MOST_CHOSEN])}
    in_books, chapters = _in_book_files(state), []
    for chapter in state.plan.chapters:
        files = _files(state, chapter) + in_books.get(chapter.number, ())
        chunks = tuple(
            ListenChunk(
                name=reports[chunk.ref].name,
                spoken="" if chunk.text == " ".join(each.text for each in sentences) else chunk.text,
                voice=chunk.voice,
                used=reports[chunk.ref].attempt,
                chosen=reports[chunk.ref].chosen,
                flagged=bool(reports[chunk.ref].problems) and not reports[chunk.ref].chosen,
                omitted=reports[chunk.ref].omitted,
                takes=tuple(_takes(state, chunk, waveforms if chunk.ref in compared else None)),
                sentences=sentences,
            )
            for chunk, sentences in _sentences(state, chapter, bool(files))
        )
        remark = "" if files else _remark(state, chapter)
        chapters.append(ListenChapter(chapter.number, chapter.title, chapter.part, files, remark, chunks))
    return ListenBook("" if state.book_id is None else state.book_id.id, tuple(chapters))


def _files(state: BookState, chapter: Chapter) -> tuple[ListenFile, ...]:
    """The chapter's files, if they are made of the takes in use."""
    if not state.current(chapter):
        return ()
    return tuple(
        ListenFile(_url(state, path), MEDIA_TYPES[path.suffix[1:]], 0.0) for path in state.output.files(chapter)
    )


def _in_book_files(state: BookState) -> dict[int, tuple[ListenFile, ...]]:
    """The M4B that each chapter is in, by the chapter's number."""
    found: dict[int, tuple[ListenFile, ...]] = {}
    for file in book_files(state) if state.codec is not None and has_book_file(state) else ():
        if not file.current:
            continue
        *starts, _ = chapter_starts(file.streams)
        for chapter, stream, start in zip(file.chapters, file.streams, starts, strict=True):
            seconds = round(start / stream.sampling_rate, 3)
            found[chapter.number] = (ListenFile(_url(state, file.path), MEDIA_TYPES["m4b"], seconds),)
    return found


def _url(state: BookState, path: Path) -> str:
    """The URL of a file of the output folder, relative to the page."""
    return file_link(path.relative_to(state.folder).as_posix())


def _remark(state: BookState, chapter: Chapter) -> str:
    if state.model_config is None or not state.complete(chapter):
        return "This chapter is not rendered yet."
    return "The file of this chapter is missing or not up to date: `maya-batch assemble` writes it."


def _sentences(state: BookState, chapter: Chapter, timed: bool) -> Iterator[tuple[Chunk, tuple[ListenSentence, ...]]]:
    """The chunks of a chapter with their sentences; `timed` if there is a file that the times are of."""
    text = next(text.text for text in state.plan.manuscript.chapters if text.number == chapter.number)
    found: Sequence[Cue | SpokenSentence] = chapter_cues(state, chapter) or chapter_sentences(state.plan, chapter)
    by_chunk = {index: list(own) for index, own in groupby(found, lambda sentence: sentence.chunk.index)}
    end: int | None = None
    for chunk in chapter.chunks:
        sentences = []
        for each in by_chunk.get(chunk.index, ()):
            span = each.span
            first = span is None or end is None or bool(_BLANK_LINE.search(text, end, span[0]))
            start, stop = (each.start, each.end) if timed and isinstance(each, Cue) else (None, None)
            sentences.append(ListenSentence(each.text, _milliseconds(start), _milliseconds(stop), first))
            end = end if span is None else span[1]
        if not sentences:  # left out of the chapter
            sentences.append(ListenSentence(" ".join(chunk.source.split()) or chunk.text, None, None, end is None))
        yield chunk, tuple(sentences)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _takes(state: BookState, chunk: Chunk, waveforms: WaveformCache | None) -> Iterator[ListenTake]:
    """The takes of a chunk, with the URLs of their clips."""
    for take in state.takes(chunk):
        clip = None if take_clip(state, take, waveforms) is None else _url(state, state.store.clip_path(take))
        problems = tuple(f"{problem.kind}: {problem.detail}" for problem in take.problems)
        yield ListenTake(take.attempt, round(state.plan.layout.seconds(len(take.codes)), 1), problems, clip)
