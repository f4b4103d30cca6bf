"""Chooses whether a model is decoded constrained to Maya1's frame format, by how well it follows that by itself."""

import logging
from collections.abc import Sequence
from statistics import fmean

from maya_batch.book.settings import Machine, Sound
from maya_batch.engine.api import Decoding, Engine, Request
from maya_batch.errors import UsageError

log = logging.getLogger(__name__)

LEAST_IN_GRAMMAR = 0.9
"""Below this in-grammar probability the model does not follow Maya1's frame format, and is not forced into it."""


def choose_decoding(engine: Engine, requests: Sequence[Request], sound: Sound, machine: Machine) -> Decoding:
    """Constrained or unconstrained: as the machine's settings say, or as the model's first frames show."""
    if machine.decoding != "auto":
        return machine.decoding
    mass = fmean(engine.in_grammar_probabilities(requests, sound.sampling))
    decoding = decoding_for(mass)
    if decoding == "framed":
        return decoding
    log.warning(
        "the model follows Maya1's frame format only %.0f %% of the time (%.0f %% expected); falling back to "
        "unconstrained decoding, and invalid frames are rejected",
        *(100 * mass, 100 * LEAST_IN_GRAMMAR),
    )
    return decoding


def decoding_for(in_grammar_probability: float) -> Decoding:
    """Framed or free, by the mean over the slots."""
    return "framed" if in_grammar_probability >= LEAST_IN_GRAMMAR else "free"


def refuse_int8_cache(engine: Engine, decoding: str) -> None:
    """Refuse a KV cache in 8 bits with unconstrained decoding, which transformers' own cache serves.

    Raises:
        UsageError: this is what was asked for.
    """
    if engine.kv_cache == "int8" and decoding == "free":
        raise UsageError(
            "this model is decoded unconstrained (--decoding free), with keys and values in the model's number format; "
            "remove --kv-cache int8"
        )
