"""The takes of a book in a run: stored ones are examined, generated ones come in, and retries go out."""

import logging
from collections.abc import Container, Iterable, Sequence
from itertools import groupby
from types import TracebackType

from maya_batch.book.chunk import Chunk
from maya_batch.book.take_store import Take
from maya_batch.messages.plural import plural
from maya_batch.run.engine_inbox import EngineInbox
from maya_batch.run.pipeline_messages import ExaminedAll, Generated, TakeRequest, Unexamined
from maya_batch.run.take_pipeline import TakePipeline

log = logging.getLogger(__name__)


class BookTakes:
    """What the engine's thread does with the takes of one book while its pipeline is open."""

    def __init__(
        self,
        pipeline: TakePipeline,
        inbox: EngineInbox,
        unexamined: Sequence[tuple[Chunk, Take]],
        requests: Sequence[TakeRequest],
        spoken: Sequence[Take],
    ) -> None:
        """`requests` are for the engine; the takes in `unexamined` are examined first, which may bring others.

        The takes in `spoken` exist already, and are stored when generation begins.
        """
        self.pipeline, self._inbox, self._spoken = pipeline, inbox, spoken
        self._unexamined, self._requests = unexamined, list(requests)

    def __enter__(self) -> "BookTakes":
        self.pipeline.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pipeline.__exit__(kind, error, trace)

    def examine(self) -> list[TakeRequest]:
        """Examine the stored takes. Returns the requests, with a retry rather than what was planned before it."""
        if self._unexamined:
            log.info("examining %s of an earlier run", plural(len(self._unexamined), "take"))
        for _, group in groupby(self._unexamined, lambda found: found[1].key):
            self.pipeline.tick()
            self.pipeline.send(Unexamined([take for _, take in group]))
        self.pipeline.drain()
        self._requests = merged(self._requests, self._inbox.retries())
        return self._requests

    def begin(self, whole: bool) -> list[TakeRequest]:
        """Begin to generate after `examine`; returns the requests that are left.

        `whole`: chapters whose takes were all examined are written now.
        """
        if whole:
            self.pipeline.send(ExaminedAll())
        if not self._spoken:
            return self._requests
        self.pipeline.send(Generated(list(self._spoken)))
        keys = {take.key for take in self._spoken}
        # Their retries go into the next batch, because this one is not planned for their lengths.
        left = [request for request in self._requests if request.key not in keys]
        return left or self.drain()

    def keep(self, takes: list[Take]) -> None:
        """Store takes that the engine has generated, and have them examined."""
        self.pipeline.send(Generated(takes))

    def store_only(self, takes: list[Take]) -> None:
        """Store takes that the engine has generated, as the run ends early; all else is left to the next one."""
        self.pipeline.end_early()
        self.pipeline.send_at_once(Generated(takes))

    def drain(self) -> list[TakeRequest]:
        """Wait until all takes are processed; returns the retries."""
        self.pipeline.drain()
        return merged(self._inbox.retries(), [])

    @property
    def settled(self) -> bool:
        """Whether all that came in is processed, and needs no retry."""
        if not self.pipeline.idle:
            return False
        self.pipeline.read()
        return not self._inbox.has_retries

    def retries(self, among: Container[str] | None = None) -> list[TakeRequest]:
        """The retries that have come, each once; with `among`, only those of these keys."""
        return self._inbox.retries(among)


def merged(requests: Iterable[TakeRequest], retries: Iterable[TakeRequest]) -> list[TakeRequest]:
    """One request for each key, a retry rather than what was planned before it, in reading order."""
    latest = {request.key: request for request in (*requests, *retries)}
    return sorted(latest.values(), key=lambda request: (request.chunk.chapter, request.chunk.index))
