"""What postprocess tells the engine's thread, read between two frames: retries, and news for the progress listener."""

from collections import deque
from collections.abc import Container, Iterable

from maya_batch.run.pipeline_messages import EngineMessage, Examined, Published, Rendered, Retry, TakeRequest
from maya_batch.run.progress import ProgressListener


class EngineInbox:
    """Messages from postprocess. Only the engine's thread reads them, so only that thread calls the listener."""

    def __init__(self, progress: ProgressListener, expected: Iterable[TakeRequest]) -> None:
        """`progress` counts the takes in `expected` already."""
        self._progress, self._expected = progress, {request.key for request in expected}
        self._messages: deque[EngineMessage] = deque()
        self._retries: list[TakeRequest] = []

    def send(self, message: EngineMessage) -> None:
        """Leave a message; any thread may do that."""
        self._messages.append(message)

    def read(self) -> None:
        """Tell the listener the news, and keep the retries."""
        while self._messages:
            match self._messages.popleft():
                case Rendered(seconds):
                    self._progress.rendered(1, seconds)
                case Examined():
                    self._progress.examined()
                case Published(path, seconds):
                    self._progress.published(path, seconds)
                case Retry(request):
                    self._retries.append(request)
                    if request.key not in self._expected:
                        self._expected.add(request.key)
                        self._progress.expected(1)

    @property
    def has_retries(self) -> bool:
        """Whether a retry was read and not returned yet."""
        return bool(self._retries)

    def retries(self, among: Container[str] | None = None) -> list[TakeRequest]:
        """Takes to generate again, each returned once; with `among`, only those of these keys."""
        self.read()
        waiting, self._retries = self._retries, []
        returned: list[TakeRequest] = []
        for request in waiting:
            (returned if among is None or request.key in among else self._retries).append(request)
        return returned
