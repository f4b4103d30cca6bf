"""Books for listen.html: a small one to try everything on, and one as long as a novel."""

from dataclasses import replace
from pathlib import Path

from maya_batch.audio.chapter_file import write_chapter
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.writers import Target
from maya_batch.report.files import write_report
from maya_batch.report.listen_page import (
    ListenBook,
    ListenChapter,
    ListenChunk,
    ListenFile,
    ListenSentence,
    ListenTake,
)
from maya_batch.report.model import Report
from tests.support.reports import chunk as chunk_report
from tests.support.reports import report

SECONDS = 1.0
"""Of each sentence, without the pause of half a second after it."""


def takes(count: int, clip: str | None = None) -> tuple[ListenTake, ...]:
    """Takes of which the last one is good."""
    problems = [("missing: across the water",)] * (count - 1) + [()]
    return tuple(ListenTake(number, 2.0, found, clip) for number, found in enumerate(problems, 1))


def listen_chunk(name: str, *texts: str, start: float | None = 0.0, **changes: object) -> ListenChunk:
    """A chunk of these sentences, the first of which begins a paragraph; without a start they have no times."""
    sentences = tuple(
        ListenSentence(
            text,
            None if start is None else start + 1.5 * number,
            None if start is None else start + 1.5 * number + SECONDS,
            number == 0,
        )
        for number, text in enumerate(texts)
    )
    made = ListenChunk(name, "", "anna", 1, False, False, False, takes(1), sentences)
    return replace(made, **changes)  # type: ignore[arg-type]


def listen_chapter(number: int, *chunks: ListenChunk, **changes: object) -> ListenChapter:
    """A chapter with a WAV file, which `write_listen_page` writes."""
    file = ListenFile(f"./{number:02}-part.wav", "audio/wav", 0.0)
    made = ListenChapter(number, f"Part {number}", "", (file,), "", chunks)
    return replace(made, **changes)  # type: ignore[arg-type]


def a_book() -> ListenBook:
    """Two chapters to listen to, with two flagged chunks, and one that is not rendered yet."""
    flagged = {"flagged": True, "takes": takes(3, "./take.wav"), "used": 3}
    return ListenBook(
        "0123456789abcdef",
        (
            listen_chapter(
                1,
                listen_chunk("1:1@a1b2", "The night was dark.", "Who goes there?"),
                listen_chunk("1:2@b2c3", "An old man rowed.", start=3.0, **flagged),
            ),
            listen_chapter(
                2,
                listen_chunk("2:1@c3d4", "He waited.", "The lamp went out."),
                listen_chunk("2:2@d4e5", "No man came.", start=3.0, **flagged),
            ),
            listen_chapter(
                3,
                listen_chunk("3:1@e5f6", "The rain was gone.", start=None, takes=(), used=0),
                files=(),
                remark="This chapter is not rendered yet.",
            ),
        ),
    )


def a_report(title: str = "The Lamp on the Water", book: str = "/books/the lamp.yaml", **changes: object) -> Report:
    """A report for the pages of these books."""
    return report(chunk_report("1:1"), title=title, book=book, **changes)


def write_listen_page(folder: Path, book: ListenBook, made: Report | None = None) -> Path:
    """The page and its reports, with five seconds of silence for each chapter and each take."""
    write_report(folder, made or a_report(), {}, listening=book)
    names = [file.url.removeprefix("./") for chapter in book.chapters for file in chapter.files]
    for name in {*names, "take.wav"}:
        if name.endswith(".wav"):
            write_chapter([bytes(2 * 24000 * 5)], [Target(folder / name, "wav")], TrackTags("", "", "", 1, 1, ""))
    return folder / "listen.html"


def a_novel(words: int = 120_000, chapter_words: int = 3_000) -> ListenBook:
    """A book of so many words in sentences of 15, two to a chunk; of 50 chunks one is flagged."""
    sentence = "The old man rowed the ferry across the black water and said nothing until the morning."
    spoken = len(sentence.split())
    chapters, chunks = list[ListenChapter](), list[ListenChunk]()
    count = -(-words // (2 * spoken))
    for index in range(count):
        number = len(chapters) + 1
        start = 14.0 * len(chunks)
        flagged = index % 50 == 49
        chunks.append(
            listen_chunk(
                f"{number}:{len(chunks) + 1}@a1b2",
                sentence,
                sentence,
                start=start,
                flagged=flagged,
                takes=takes(3, "./.maya/takes/ab/" + "ab" * 32 + "/1.mp3") if flagged else takes(1),
            )
        )
        if len(chunks) * 2 * spoken >= chapter_words or index == count - 1:
            chapters.append(listen_chapter(number, *chunks))
            chunks = []
    return ListenBook("novel", tuple(chapters))
