"""What the tags of a book's chapter files say."""

from maya_batch.audio.metadata import Picture, TrackTags
from maya_batch.book.chunk import Chapter
from maya_batch.manifest import Book, Manuscript


def track_tags(manuscript: Manuscript, chapter: Chapter, comment: str) -> TrackTags:
    """The tags of a chapter's files."""
    book, cover, more = manuscript.book, manuscript.cover, more_tags(manuscript)
    track, tracks = track_of(book, chapter)
    return TrackTags(
        title=chapter.title,
        album=book.title,
        artist=book.author,
        track=track,
        tracks=tracks,
        comment=comment,
        narrator=more.get("narrator", ""),
        publisher=more.get("publisher", ""),
        date=more.get("date", ""),
        series=more.get("series", ""),
        series_number=more.get("series_number", ""),
        cover=None if cover is None else Picture(cover.content, cover.mime),
        **described(manuscript),
    )


def track_of(book: Book, chapter: Chapter) -> tuple[int, int]:
    """The number of a chapter's track, and of all tracks; it is the chapter's, also where chapters are skipped.

    Opening credits are the first track and move all others: players take no track 0.
    """
    texts = (None, None) if book.credits is None else (book.credits.opening, book.credits.closing)
    before, after = (int(text is not None) for text in texts)
    return chapter.number + before, len(book.chapters) + before + after


def described(manuscript: Manuscript) -> dict[str, str]:
    """The tags that WAV and MP3 files do not have, by name."""
    book = manuscript.book
    tags = {"subtitle": book.subtitle, "description": book.description, "isbn": book.isbn, "language": book.language}
    return {name: text for name, text in tags.items() if text}


def more_tags(manuscript: Manuscript) -> dict[str, str]:
    """The tags that the book has besides title, author and number, by name; of the cover, a digest."""
    book, cover = manuscript.book, manuscript.cover
    series, number = (None, None) if book.series is None else (book.series.name, book.series.number)
    tags = {
        "narrator": book.narrator,
        "publisher": book.publisher,
        "date": book.date,
        "series": series,
        "series_number": None if number is None else f"{number:g}",
        "cover": None if cover is None else cover.digest,
    }
    return {name: text for name, text in tags.items() if text is not None}
