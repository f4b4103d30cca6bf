"""A codec that makes sound with the levels of speech."""

import numpy as np
from numpy.typing import NDArray

from maya_batch.checkpoint.token_layout import Codes
from tests.audio.test_loudness import RATE, speech


class SpeechCodec:
    """As much speech-like noise as the codes are long."""

    def decode(self, codes: Codes, seed: int) -> NDArray[np.float32]:
        return (speech(len(codes) * 2048 / RATE) / 32768).astype(np.float32)
