"""How often the benchmark transcribes a take of random weights."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from maya_batch.bench.heard_once import HeardOnce
from maya_batch.manifest import Quality
from maya_batch.quality.hearing import RATE, Recognizer, SpokenTake
from maya_batch.quality.transcriber import Transcriber


class Mumbling:
    """A model that hears other words than a take says."""

    calls = 0

    def transcribe(self, wave: object, **_: Any) -> tuple[list[Any], None]:
        self.calls += 1
        return [SimpleNamespace(text="Something else.", compression_ratio=1.0, seek=0, words=None)], None


@pytest.mark.parametrize(("kind", "calls", "found"), [(HeardOnce, 1, set()), (Transcriber, 2, {"missing"})])
def test_a_take_with_wrong_words_is_heard_once_by_the_benchmark_and_has_no_problem(
    kind: type[Transcriber], calls: int, found: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Mumbling()
    monkeypatch.setattr("maya_batch.quality.whisper.load_recognizer", lambda *_: Recognizer("tiny.en", model))
    monkeypatch.setattr(Transcriber, "find", lambda _: None)
    transcriber = kind("tiny.en", "en", Quality())
    transcriber.load("cpu")
    take = SpokenTake(np.zeros(RATE, dtype=np.float32), "He went home again.")
    [(transcript, problems)] = transcriber.transcribe([take], RATE)
    assert transcript.text == "Something else."
    assert transcript.word_error > 0.5
    assert {problem.kind for problem in problems} >= found
    assert bool(problems) == bool(found)
    assert model.calls == calls
