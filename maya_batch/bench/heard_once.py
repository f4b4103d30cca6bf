"""Transcribes takes of random weights as those of a voice: once, and without problems in their words."""

from collections.abc import Sequence

from maya_batch.quality import Problem, Transcript
from maya_batch.quality.hearing import Recognizer, SpokenTake
from maya_batch.quality.transcriber import Transcriber
from maya_batch.quality.whisper import listen


class HeardOnce(Transcriber):
    """No words are right in noise, so each take would be transcribed a second time, and encoded for the pages as one
    with problems. Of a voice few takes are. Their words are compared with the text all the same.
    """

    def _listen(
        self, recognizer: Recognizer, takes: Sequence[SpokenTake], rate: int
    ) -> list[tuple[Transcript, tuple[Problem, ...]]]:
        heard = listen(recognizer, takes, rate, self._language, self._quality, twice=False)
        return [(transcript, ()) for transcript, _ in heard]
