from pathlib import Path
from typing import Any, cast

from maya_batch.run.engine_inbox import EngineInbox
from maya_batch.run.pipeline_messages import Examined, Published, Rendered, Retry, TakeRequest
from tests.support.fakes import Events


def request(key: str, attempt: int = 2) -> TakeRequest:
    return TakeRequest(cast(Any, None), key, attempt)


def test_news_reach_the_listener_when_the_inbox_is_read() -> None:
    events = Events()
    inbox = EngineInbox(events, [])
    for message in (Rendered(2.0), Examined(), Published(Path("a.wav"), 3.0)):
        inbox.send(message)
    assert events.heard == []
    inbox.read()
    assert events.heard == [("rendered", 1), ("examined", 1), ("published", "a.wav")]


def test_each_retry_is_returned_once_and_others_wait_for_their_round() -> None:
    inbox = EngineInbox(Events(), [])
    for key in "abc":
        inbox.send(Retry(request(key)))
    assert inbox.retries({"b"}) == [request("b")]
    assert inbox.retries({"b"}) == []
    assert inbox.has_retries
    assert inbox.retries() == [request("a"), request("c")]
    assert not inbox.has_retries


def test_a_chunk_is_expected_once_whether_it_waited_before_or_is_retried_twice() -> None:
    events = Events()
    inbox = EngineInbox(events, [request("known", 1)])
    for retry in (request("known"), request("new"), request("new", 3)):
        inbox.send(Retry(retry))
    inbox.read()
    assert events.named("expected") == [1]
