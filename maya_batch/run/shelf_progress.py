"""What the listener of a run over several books is told of one of them."""

from pathlib import Path

from maya_batch.run.progress import ProgressListener


class BookProgress(ProgressListener):
    """The listener of one book, which adds up in that of the run.

    When its last chapters are joined, other books are being generated, so that is not shown.
    """

    def __init__(self, whole: ProgressListener, title: str, number: int, books: int) -> None:
        """`number` counts from 1."""
        super().__init__()
        self._whole, self._title, self._number, self._books = whole, title, number, books

    def begun(self, chunks: int, waiting: int, unexamined: int = 0) -> None:
        """The book starts."""
        self._whole.book_begun(self._title, self._number, self._books, chunks, waiting, unexamined)

    def expected(self, chunks: int) -> None:
        """More chunks of it are to be rendered than was known."""
        self._whole.expected(chunks)

    def tick(self) -> None:
        """Time has passed."""
        self._whole.tick()

    def rendered(self, chunks: int, seconds: float) -> None:
        """Chunks have their take."""
        self._whole.rendered(chunks, seconds)

    def examined(self) -> None:
        """A take from an earlier run is examined."""
        self._whole.examined()

    def published(self, path: Path, seconds: float) -> None:
        """A file was written."""
        self._whole.published(path, seconds)
