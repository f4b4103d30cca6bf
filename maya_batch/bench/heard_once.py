"""Transcribes takes of random weights as often as most takes of a voice: once."""

from collections.abc import Sequence

from maya_batch.quality import Problem, Transcript
from maya_batch.quality.hearing import Recognizer, SpokenTake
from maya_batch.quality.transcriber import Transcriber
from maya_batch.quality.whisper import listen


class HeardOnce(Transcriber):
    """No words are right in noise, so each take would be transcribed a second time. Of a voice few takes are."""

    def _listen(
        self, recognizer: Recognizer, takes: Sequence[SpokenTake], rate: int
    ) -> list[tuple[Transcript, tuple[Problem, ...]]]:
        return listen(recognizer, takes, rate, self._language, self._quality, twice=False)
