"""Threads that own a run's data, and the inboxes through which they pass messages to each other.

One function handles all messages of an inbox, on one thread or on several, in the order sent, one by one or those
together that are waiting: what only a function on one thread touches needs no lock. Senders downstream (engine to
postprocess to inspect) wait while the inbox is full; what is sent back upstream never waits, so that no two threads
wait for each other.
"""

import logging
import sys
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import Condition, Event
from types import TracebackType
from typing import Generic, TypeVar

from maya_batch.errors import EXIT_STOPPED, exit_code_of

log = logging.getLogger(__name__)

Message = TypeVar("Message")

#: Seconds until a thread that computes in Python lets another one have the interpreter. By default 5 ms, which the
#: engine would wait at each of the thousand calls that a prompt's pass takes.
_SWITCH_INTERVAL = 0.0002

#: Messages that may wait in an inbox, besides those that are being handled, before `wait_for_room` holds up the sender:
#: they hold takes and waveforms.
MOST_WAITING = 64

#: Seconds between two calls of `tick` while a thread waits for others.
_TICK_INTERVAL = 0.1


@dataclass
class _Owner:
    """The threads of one name."""

    pool: ThreadPoolExecutor
    waiting: int = 0
    """Messages that are sent to them and that they have not begun to handle, of all pipelines."""


class Threads:
    """The threads of a run, by name. The pipelines of several books share them.

    Not `threaded`, `send` handles a message at once, on the sender's thread: where the model runs on the same cores,
    more threads would only slow it down.
    """

    def __init__(self, threaded: bool) -> None:
        self.threaded = threaded
        self.changed = Condition()
        """Guards the counts of messages."""
        self._owners: dict[tuple[str, int], _Owner] = {}
        self._interval = sys.getswitchinterval()

    def owner(self, name: str, threads: int) -> _Owner:
        """So many threads of this name, which are started when they are first used."""
        if (name, threads) not in self._owners:
            pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
            self._owners[name, threads] = _Owner(pool)
            if self.threaded:
                pool.submit(int).result()  # one that the system refuses later would leave messages behind
        return self._owners[name, threads]

    def __enter__(self) -> "Threads":
        if self.threaded:
            sys.setswitchinterval(_SWITCH_INTERVAL)
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads, which have handled all messages."""
        for owner in self._owners.values():
            owner.pool.shutdown()
        sys.setswitchinterval(self._interval)


class Pipeline:
    """All inboxes of a book's run. An error in one of them ends the run: `check` raises it on the main thread."""

    def __init__(
        self,
        threaded: bool,
        shared: Threads | None = None,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Without `shared` threads it has some for itself. Each message is handled inside the context of `around`."""
        self.threads = shared or Threads(threaded)
        self.around = around
        self.stopping = Event()
        """Set when the run ends early: handlers store what they have, and leave all else to the next run."""
        self.in_flight = 0
        """Messages that are sent and not handled, in all inboxes."""
        self._shares = shared is not None
        self._error: BaseException | None = None

    def inbox(self, name: str, handle: Callable[[Message], None], threads: int = 1) -> "Inbox[Message]":
        """An inbox whose messages `handle` gets; with several `threads`, in the order sent but several at a time."""
        return Inbox(self, self.threads.owner(name, threads), lambda messages: handle(messages[0]), lambda: 1)

    def inbox_in_batches(
        self, name: str, handle: Callable[[Sequence[Message]], None], most: Callable[[], int], threads: int = 1
    ) -> "Inbox[Message]":
        """An inbox whose messages `handle` gets together: those that are waiting, but at most `most()` a thread."""
        return Inbox(self, self.threads.owner(name, threads), handle, most)

    def __enter__(self) -> "Pipeline":
        if not self._shares:
            self.threads.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until all messages are handled. An error of a handler overrides 'stopped', but no other error."""
        if kind is not None:
            self.stopping.set()
        with self.threads.changed:
            self.threads.changed.wait_for(lambda: not self.in_flight)
        if not self._shares:
            self.threads.__exit__()
        if self._error is None or self._error is error:
            return
        if error is None or exit_code_of(error) == EXIT_STOPPED:
            context = self._error.__context__
            try:
                raise self._error
            finally:
                self._error.__context__ = context  # not the signal, which would make it one of a signal itself
        log.error("%s", self._error)

    def check(self) -> None:
        """Raise the first error of a handler."""
        if self._error is not None:
            raise self._error

    def drain(self, tick: Callable[[], None]) -> None:
        """Wait until all messages are handled. `tick` is called meanwhile, and may end the waiting by raising."""
        self.wait(lambda: not self.in_flight, tick)
        self.check()

    def wait(self, done: Callable[[], bool], tick: Callable[[], None]) -> None:
        """Wait until `done`, which is asked whenever a message was handled; `tick` is called meanwhile."""
        while True:
            with self.threads.changed:
                if self.threads.changed.wait_for(done, _TICK_INTERVAL):
                    return
            tick()

    def fail(self, error: BaseException) -> None:
        """Keep the first error of a handler, which ends the run; log others."""
        with self.threads.changed:
            first, self._error = self._error, self._error or error
        self.stopping.set()
        if first is not None and str(error) != str(first):
            log.error("%s", error)


class Inbox(Generic[Message]):
    """Messages for one owner."""

    def __init__(
        self,
        pipeline: Pipeline,
        owner: _Owner,
        handle: Callable[[Sequence[Message]], None],
        most: Callable[[], int],
    ) -> None:
        """`handle` gets one message or more, but at most `most()`."""
        self._pipeline, self._owner, self._handle, self._most = pipeline, owner, handle, most
        self._waiting: deque[Message] = deque()

    def send(self, message: Message) -> None:
        """Put a message behind the others; it is never refused."""
        if not self._pipeline.threads.threaded:
            with self._pipeline.around():
                self._handle([message])
            return
        with self._pipeline.threads.changed:
            self._waiting.append(message)
            self._owner.waiting += 1
            self._count(1)
        self._owner.pool.submit(self._process)

    def wait_for_room(self, tick: Callable[[], None] = lambda: None) -> None:
        """Wait while too many messages are waiting; only the one thread upstream does so."""
        if self._owner.waiting > MOST_WAITING:
            self._pipeline.wait(lambda: self._owner.waiting <= MOST_WAITING, tick)

    def _process(self) -> None:
        """Handle those that have waited longest; none is left where an earlier call took several."""
        with self._pipeline.threads.changed:
            messages = [self._waiting.popleft() for _ in range(min(self._most(), len(self._waiting)))]
            self._owner.waiting -= len(messages)
            self._pipeline.threads.changed.notify_all()
        if not messages:
            return
        try:
            with self._pipeline.around():
                self._handle(messages)
        except BaseException as error:
            self._pipeline.fail(error)
        finally:
            self._count(-len(messages))

    def _count(self, change: int) -> None:
        changed = self._pipeline.threads.changed
        with changed:
            self._pipeline.in_flight += change
            changed.notify_all()
