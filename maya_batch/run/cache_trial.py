"""Decides, when a book begins, whether its keys and values are kept in 8 bits.

The first takes are spoken with 8 bits, under the keys that they then have, and predicted again with each cache. If 8
bits change the predictions no more than bfloat16 does, the book goes on from these takes; else they are dropped, and it
begins in the model's format.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from maya_batch.audio.waveform_cache import noise_seed
from maya_batch.book.chunk import Chunk
from maya_batch.book.model_lock import ModelConfig
from maya_batch.book.settings import Sound
from maya_batch.engine.api import CacheRounding, Engine, Generation
from maya_batch.messages.plural import plural
from maya_batch.run.generate import request_for, sequence_seed
from maya_batch.run.pipeline_messages import TakeRequest

log = logging.getLogger(__name__)

#: Takes of a trial. The steps of a batch of so many take little longer than those of a single one.
TRIAL_TAKES = 16

#: The limits for what 8 bits may change: the mean divergence in nats a token, and the share of tokens whose most
#: probable code stays the same. On 200 takes of the demo voice bfloat16 is 0.00024 from float32, with 99.55 % the same,
#: so two ways to compute in bfloat16 are about 0.0005 apart; 8 bits may add as much again. They are 0.00014 from
#: float32 in float32, and 0.00054 from bfloat16 in bfloat16.
MOST_DIVERGENCE, LEAST_SAME_BEST = 0.001, 0.99


@dataclass(frozen=True)
class CacheTrial:
    """A trial, and the takes that a book with 8 bits goes on from."""

    rounding: CacheRounding
    requests: list[TakeRequest]
    generations: list[Generation]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether keys and values are kept in 8 bits."""
        return self.rounding.divergence <= MOST_DIVERGENCE and self.rounding.same_best >= LEAST_SAME_BEST


def try_int8_cache(engine: Engine, chunks: Sequence[Chunk], model_config: ModelConfig, sound: Sound) -> CacheTrial:
    """Speak the first of these chunks with 8 bits, and leave the engine with the cache that the result allows.

    `model_config` is that of the book in the model's format.

    Raises:
        MachineError: GPU memory is too small for one sequence, or the logits are not finite.
    """
    began, config = time.monotonic(), replace(model_config, kv_cache="int8")
    takes = [TakeRequest(chunk, chunk.key(config, sound), 1) for chunk in chunks[:TRIAL_TAKES]]
    requests = [
        request_for(take.chunk, take.key, sequence_seed(take.key, 1), noise_seed(take.key, 1)) for take in takes
    ]
    engine.use_kv_cache("int8")
    generations = [made for together in engine.generate(requests, sound.sampling, "framed") for made in together]
    rounding = engine.cache_rounding(requests, generations)
    trial = CacheTrial(rounding, takes, generations, time.monotonic() - began)
    if not trial.passed:
        engine.use_kv_cache("model")
    log.info(
        "KV cache %s: on %s, 8 bits change the predictions by %.6f nats a token (limit %g) and keep the most probable "
        "code of %.2f %% (limit %g %%)",
        engine.kv_cache,
        plural(rounding.takes, "take"),
        rounding.divergence,
        MOST_DIVERGENCE,
        100 * rounding.same_best,
        100 * LEAST_SAME_BEST,
    )
    return trial
