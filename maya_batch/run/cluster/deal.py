"""Which worker has which request: pure bookkeeping, without Ray."""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from math import ceil

from maya_batch.engine.api import Request

#: Each further worker that is lost with a request narrows down by this factor how many such requests a worker holds.
_NARROWING = 8

#: How fast a worker is, is counted over its last requests, about so many. One that has generated fewer than the second
#: number counts as an average one.
_COUNTED, _FEWEST = 32, 8


class Deal:
    """Deals the requests of one call of `generate` to workers, and takes back those of lost workers.

    A worker holds what its batch has room for and a quarter of that, so that it finds waiting requests until it gets
    more; towards the end, a share of what is left, the larger the faster it has been, so that all end at the same time.
    The first one that it gets is the longest.

    A worker that is lost may have been killed by one of its requests: all of them are suspects then. No worker holds
    many suspects together, and of requests that were held by several lost workers ever fewer, until a worker is lost
    with a single suspect. That one is set aside.
    """

    def __init__(self, requests: Iterable[Request], aside: set[str] | None = None) -> None:
        """`aside` has the keys that were set aside in earlier calls, and gets those of this one."""
        self._queue = deque(requests)
        self._suspects: deque[Request] = deque()
        """Waiting ones; those that are held are in `_held`."""
        self._strikes: Counter[str] = Counter()
        """By key, how many workers were lost that held it."""
        self._held: dict[int, dict[str, Request]] = {}
        self._speeds: dict[int, float] = {}
        """The expected frames that each worker has generated, the earlier the less they count."""
        self._settled: Counter[int] = Counter()
        self._aside = set[str]() if aside is None else aside

    @property
    def left(self) -> int:
        """Requests that wait or are held."""
        return len(self._queue) + len(self._suspects) + sum(map(len, self._held.values()))

    @property
    def waiting(self) -> bool:
        """Whether a request waits for a worker."""
        return bool(self._queue or self._suspects)

    def add_first(self, requests: Sequence[Request]) -> list[Request]:
        """Queue these before all waiting ones; returns those that were set aside, which are not queued."""
        aside = [request for request in requests if request.key in self._aside]
        self._queue.extendleft(request for request in reversed(requests) if request.key not in self._aside)
        return aside

    def add_last(self, requests: Iterable[Request]) -> None:
        """Queue these after all waiting ones."""
        self._queue.extend(requests)

    def held(self, worker: int) -> dict[str, Request]:
        """What a worker holds, by key."""
        return self._held.setdefault(worker, {})

    def give(self, worker: int, batch_size: int, workers: int) -> list[Request]:
        """The requests that a worker gets now; it is one of `workers`."""
        held = self.held(worker)
        most = min(batch_size + max(batch_size // 4, 1), ceil(self.left * self._share(worker, workers)))
        given: list[Request] = []
        if not held and self._queue:
            # An engine plans a batch for its first requests; a longer one that comes later would wait for the next.
            longest = max(self._queue, key=lambda request: request.max_frames)
            self._queue.remove(longest)
            self._queue.appendleft(longest)
        suspects = sum(key in self._strikes for key in held)
        for _ in range(len(self._suspects)):
            request = self._suspects[0]
            if len(held) >= most or suspects >= max(batch_size // _NARROWING ** self._strikes[request.key], 1):
                break
            held[request.key] = self._suspects.popleft()
            given.append(request)
            suspects += 1
        while self._queue and len(held) < most:
            request = self._queue.popleft()
            held[request.key] = request
            given.append(request)
        return given

    def settle(self, worker: int, key: str) -> None:
        """A worker has generated what it was given under this key."""
        request = self._held[worker].pop(key)
        self._strikes.pop(key, None)
        forgotten = 1 / (_COUNTED * len(self._held))
        self._speeds = {other: speed * (1 - forgotten) for other, speed in self._speeds.items()}
        self._speeds[worker] = self._speeds.get(worker, 0.0) + request.likely_frames
        self._settled[worker] += 1

    def _share(self, worker: int, workers: int) -> float:
        """The worker's part of the speed of all workers."""
        known = {other: speed for other, speed in self._speeds.items() if self._settled[other] >= _FEWEST}
        if worker not in known:
            return 1 / workers
        return known[worker] / sum(known.values()) * len(known) / max(workers, len(known))

    def lose(self, worker: int) -> tuple[list[Request], Request | None]:
        """Take back what a lost worker held: what waits again, and what is set aside because it killed workers."""
        held = self._held.pop(worker, {})
        self._speeds.pop(worker, None)
        self._settled.pop(worker, None)
        suspects = [request for key, request in held.items() if key in self._strikes]
        culprit = suspects[0] if len(suspects) == 1 else None
        if culprit is not None:
            del held[culprit.key]
            self._aside.add(culprit.key)
            self._queue.extendleft(reversed(held.values()))
            return list(held.values()), culprit
        for request in suspects or held.values():
            self._strikes[request.key] += 1
        self._suspects.extend(held[key] for key in held if key in self._strikes)
        self._queue.extendleft(held[key] for key in reversed(held) if key not in self._strikes)
        return list(held.values()), None
