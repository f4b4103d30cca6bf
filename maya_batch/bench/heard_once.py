"""Transcribes takes of random weights as those of a voice: once, and without problems in their words."""

from collections.abc import Sequence

from maya_batch.quality import Problem, Transcript
from maya_batch.quality.hearing import Recognizer, SpokenTake
from maya_batch.quality.transcriber import Transcriber
from maya_batch.quality.whisper import listen


class HeardOnce(Transcriber):
    """Noise never says its text, so `Transcriber` would transcribe each take twice, and the run would encode each for
    the report. Few takes of a voice need that. The words are still compared with the text.
    """

    def _listen(
        self, recognizer: Recognizer, takes: Sequence[SpokenTake], rate: int
    ) -> list[tuple[Transcript, tuple[Problem, ...]]]:
        heard = listen(recognizer, takes, rate, self._language, self._quality, twice=False)
        return [(transcript, ()) for transcript, _ in heard]
