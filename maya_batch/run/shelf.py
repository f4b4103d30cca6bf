"""Renders several books in one run: the chunks of the next book fill the batch that the last one leaves empty.

Books are opened in the order given, as the batch needs their chunks, and each is closed when its last take is settled.
A book that another model config or sampling renders waits until the batch has ended, and begins the next one.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from maya_batch.audio.waveform_cache import WaveformMemory
from maya_batch.book.plan import Plan
from maya_batch.book.settings import Machine
from maya_batch.interrupt import Stop
from maya_batch.run.book_run import BookRun
from maya_batch.run.cluster.workers import with_workers
from maya_batch.run.deadline import Deadline
from maya_batch.run.loading import Loaders
from maya_batch.run.pipeline import Threads
from maya_batch.run.progress import ProgressListener
from maya_batch.run.render import opened_book
from maya_batch.run.shared_models import SharedModels
from maya_batch.run.shelf_batch import ShelfBatch, checkpoint_of
from maya_batch.run.shelf_book import OpenBook, ShelfRequest, keep_together
from maya_batch.run.shelf_books import OpenBooks
from maya_batch.run.shelf_generate import ShelfGenerator
from maya_batch.run.shelf_queue import ShelfQueue
from maya_batch.run.shelf_result import ShelfResult
from maya_batch.run.write_access import TakeOver

#: The share of the batch that the next books fill at least when no chunk is waiting; the more of them, the more books
#: are open.
_FILLED_SHARE = 8


class ShelfRun:
    """A run over several books, on the main thread."""

    def __init__(
        self,
        manifests: Sequence[Path],
        plan: Callable[[Path], Plan],
        machine: Machine,
        progress: ProgressListener,
        *,
        check_tags: bool = True,
        deadline: Deadline | None = None,
        stop: Stop | None = None,
        take_over: TakeOver | None = None,
        keep_log: bool = False,
        loaders: Loaders | None = None,
    ) -> None:
        """`manifests` and `plan` are as for `ShelfQueue`; all else is as for `render_book`, for each of the books.

        Raises:
            UsageError: as `with_workers`.
        """
        self._deadline, self._stop, self._progress = deadline or Deadline(), stop or Stop(), progress
        self._ends = ExitStack()
        loaders = self._ends.enter_context(with_workers(machine, loaders or Loaders()))
        models, memory = SharedModels(loaders), WaveformMemory()

        def opened(book: Plan, listener: ProgressListener) -> AbstractContextManager[BookRun]:
            return opened_book(
                *(book, machine, listener, None, take_over, keep_log),
                check_tags=check_tags,
                deadline=self._deadline,
                stop=self._stop,
                loaders=models.loaders,
                memory=memory,
            )

        self._queue = ShelfQueue(manifests, plan, opened, progress)
        self.result = ShelfResult(books=self._queue.books)
        self._logged_reasons = set[str]()
        self._books = OpenBooks(self._queue, self.result, self._count_engine)
        self._batch: ShelfBatch | None = None
        self._generator: ShelfGenerator | None = None
        self._threads: Threads | None = None

    def run(self) -> ShelfResult:
        """Render the books. One that cannot be rendered is left out; `result` tells which, also after an error.

        Raises:
            StoppedError, Interruption, GpuLostError, MachineError: as `render_book`. The takes of all open books are
                saved, and their reports written.
        """
        began, failure = time.monotonic(), None
        # All books end inside: what they still hold is stored before a signal is raised.
        with self._ends, self._stop.deferred():
            try:
                while self._begin_batch():
                    self._generate()
            except BaseException as error:
                failure = self._books.abandon(error)
                if failure is error:
                    raise
            finally:
                self.result.seconds = time.monotonic() - began
            if failure is not None:
                raise failure  # not inside the handler: a full disk is no part of the signal that came before it
        return self.result

    def _begin_batch(self) -> bool:
        """Load the engine for the next book that needs it; returns whether there is one."""
        while True:
            self._batch = None
            with self._stop.immediate():
                book = self._books.all[0] if self._books.all else self._next()
                if book is None:
                    return False
                if self._joins(book):
                    return True

    def _generate(self) -> None:
        """Generate takes until those of all books of this batch are settled."""
        assert self._batch is not None
        loaded = self._batch.loaded
        self._generator = generator = ShelfGenerator(loaded.engine, self._batch.sampling, self._batch.decoding)
        while requests := self._requests(loaded.engine.batch_size):
            for made in generator.generate(requests, self._tick, self._retries, self._later):
                keep_together(made)
                self._books.close_done()
            for book in self._books.running():
                book.drain()
            self._books.close_done()
        self._books.close_done()

    def _requests(self, enough: int) -> list[ShelfRequest]:
        """The requests of the running books, and if they are not enough, of those that follow."""
        requests = [request for book in self._books.running() for request in book.requests_left()]
        while len(requests) < enough and (book := self._follow()) is not None:
            requests += book.requests_left()
        return requests

    def _retries(self) -> list[ShelfRequest]:
        """The retries of takes that the engine has returned."""
        return [request for book in self._books.running() for request in book.retries()]

    def _later(self) -> list[ShelfRequest]:
        """The requests of the next books, for a batch that none waits for."""
        assert self._batch is not None
        return self._requests(max(self._batch.loaded.engine.batch_size // _FILLED_SHARE, 1))

    def _tick(self) -> None:
        """Called between frames: raises an error of another thread, a signal, and the deadline."""
        for book in self._books.running():
            book.read()
        self._progress.tick()
        self._stop.check()
        self._deadline.check()

    def _count_engine(self, book: OpenBook) -> None:
        if self._batch is not None and book.takes is not None:
            first_frame = 0.0 if self._generator is None else self._generator.first_frame
            book.run.count_engine(self._batch.loaded.engine, first_frame)

    def _follow(self) -> OpenBook | None:
        """The next book, if it runs in this batch."""
        while not self._books.all or self._books.all[-1].takes is not None:
            book = self._next()
            if book is None:
                return None
            if self._fits(book) and self._joins(book):
                return book
        return None

    def _fits(self, book: OpenBook) -> bool:
        """Whether an open book runs in this batch; one whose model is missing is left out."""
        try:
            return self._batch is not None and self._batch.serves(book)
        except Exception as error:
            self._books.fail(book, error)
            return False

    def _next(self) -> OpenBook | None:
        """Open the next book that needs the engine; those that do not are closed again."""
        while self._queue.waiting:
            self._stop.check()
            book = self._books.next()
            if book is not None and self._needs_engine(book):
                return book
        return None

    def _needs_engine(self, book: OpenBook) -> bool:
        """Whether chunks of an open book wait for takes. One without any is closed; its takes are examined first."""
        run = book.run
        try:
            with book.about():
                run.begin()
            if run.unexamined and not run.waiting:
                run.load(self._logged_reasons)
                threads = self._shared_threads(book)
                with self._in_pipeline(book), run.opened_takes(self._tick, threads, book.about) as takes:
                    takes.examine()
                run.look_again()
        except Exception as error:
            self._books.fail(book, error)
            return False
        if run.waiting:
            return True
        self._books.close(book)
        return False

    def _joins(self, book: OpenBook) -> bool:
        """Have an open book run in this batch, or begin one with it; returns False if it had to be left out."""
        self._deadline.check()
        begun, run = book.run.state.model_config is not None, book.run
        try:
            with book.about():
                loaded = run.start(None if self._batch is None else self._batch.loaded)
                if self._batch is None:
                    self._batch = ShelfBatch(loaded, run.state.plan.sound.sampling, checkpoint_of(book), begun)
            run.load(self._logged_reasons)
            with self._in_pipeline(book):
                book.begin(run.opened_takes(self._tick, self._shared_threads(book), book.about))
        except Exception as error:
            self._books.fail(book, error)
            return False
        return True

    @contextmanager
    def _in_pipeline(self, book: OpenBook) -> Iterator[None]:
        """Send messages of a book; a signal inside `send` would leave one that is counted and never handled."""
        with book.about(), self._stop.deferred():
            yield

    def _shared_threads(self, book: OpenBook) -> Threads:
        if self._threads is None:
            self._threads = self._ends.enter_context(Threads(book.run.threaded()))
        return self._threads
