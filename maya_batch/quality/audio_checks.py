"""Checks the samples of a take: silence, noise, a cut end, a bad signal."""

import math
import re

import numpy as np
from numpy.typing import NDArray

from maya_batch.audio.stitch import SILENCE_DBFS
from maya_batch.checkpoint.token_layout import TokenLayout
from maya_batch.manifest import Quality
from maya_batch.messages.plural import plural
from maya_batch.quality import Problem
from maya_batch.quality.noise import longest_noise, longest_run, runs
from maya_batch.text.emotion_tags import TAG
from maya_batch.text.token_estimate import tag_tokens

#: The length of the steps that levels are measured in.
_STEP_SECONDS = 0.01

#: The speech level of a take is this quantile of the levels of its steps that are not silent. Next to speech, sound
#: more than 35 dB below it is not heard. An end within 25 dB of it has not faded.
_LOUD_SHARE, _UNHEARD_DB, _FADED_DB = 0.9, -35.0, -25.0

#: Nearly full scale: SNAC ends in a tanh, which stays below 1. 24 samples (1 ms at 24 kHz) in flat tops of four or more
#: are heard as crackle.
_FULL, _FLAT_TOP, _CRACKLE = 0.99, 4, 24

#: The mean of the samples from which it is an offset: speech has a mean of 0, the demo voice stays below 0.004.
_OFFSET = 0.02

#: Maya1's speech tokens a second, for the time that tags may last.
_TOKENS_A_SECOND = round(TokenLayout().tokens_per_second)

#: After this tag a voice has no tone, so noise is expected.
_WHISPER = re.compile(r"<whisper\w*>")

#: The steps of a take that sound at least; a click sounds for one.
_FEWEST_STEPS = 5


def check_sound(wave: NDArray[np.float32], rate: int, text: str, quality: Quality) -> tuple[Problem, ...]:
    """The problems of a take's wave [samples], mono, -1 to 1, of `rate` samples a second, that hold for every voice.

    The kinds are `silent`, `pause`, `clipped`, `dc`, `noise` and `ending`; `broken` if samples are not finite. Emotion
    tags in `text` may be silent or noisy for as long as they may last.

    Raises:
        ValueError: the wave is not one-dimensional floats.
    """
    if wave.ndim != 1 or not np.issubdtype(wave.dtype, np.floating):
        raise ValueError(f"a wave of shape {wave.shape} of {wave.dtype}, not one-dimensional floats")
    wrong = int(np.count_nonzero(~np.isfinite(wave)))
    if wrong:
        return (Problem("broken", f"{plural(wrong, 'non-finite sample')} (NaN or infinite)"),)
    levels = _levels(wave, rate)
    if np.count_nonzero(levels >= SILENCE_DBFS) < _FEWEST_STEPS:
        return (Problem("silent", f"the whole take is silent ({len(wave) / rate:.1f} s)"),)
    loud = _loudness(levels)
    unheard = max(SILENCE_DBFS, loud + _UNHEARD_DB)
    tags = tag_tokens(text) / _TOKENS_A_SECOND
    found = (
        _pause(levels, unheard, quality.pause_seconds + tags),
        _clipped(wave, rate),
        _offset(wave),
        _noise(wave, rate, text, unheard, quality.noise_seconds),
        None if _ends_in_tag(text) else _ending(levels, loud, quality.ending_seconds),
    )
    return tuple(problem for problem in found if problem is not None)


def check_end(quiet: float, least: float, quality: Quality) -> list[Problem]:
    """The problem, of the kind `ending`, of a take with too few seconds of quiet at its end (`quiet_end`): complete
    takes of its voice end with at least `least` (`Limits.quiet`).
    """
    if quality.ending_seconds == 0 or quiet >= least:
        return []
    usual = f"complete takes of this voice end with {least:.2f} s or more"
    return [Problem("ending", f"cut off: only {quiet:.2f} s of quiet at the end; {usual}")]


def quiet_end(wave: NDArray[np.float32], rate: int, text: str) -> float | None:
    """Seconds of quiet after the last speech of a take's wave [samples]; None if it is silent or ends in a tag."""
    levels = _levels(wave, rate)
    if _ends_in_tag(text) or not len(levels) or not levels.max() >= SILENCE_DBFS:
        return None
    return float(np.argmax(levels[::-1] - _loudness(levels) >= _FADED_DB)) * _STEP_SECONDS


def _loudness(levels: NDArray[np.float64]) -> float:
    return float(np.quantile(levels[levels >= SILENCE_DBFS], _LOUD_SHARE))


def _levels(wave: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """The level of each step in dB of full scale; the last step may be shorter."""
    step = max(round(_STEP_SECONDS * rate), 1)
    whole = len(wave) // step * step
    body, rest = wave[:whole].reshape(-1, step), wave[whole:]
    means = np.einsum("ij,ij->i", body, body).astype(np.float64) / step
    if len(rest):
        means = np.append(means, np.dot(rest, rest) / len(rest))
    levels: NDArray[np.float64] = 10 * np.log10(means + 1e-20)
    return levels


def _pause(levels: NDArray[np.float64], unheard: float, longest: float) -> Problem | None:
    """Silence between the first sound and the last one; `stitch` trims what is around them."""
    sounding = np.flatnonzero(levels >= unheard)
    if not len(sounding):
        return None
    first = int(sounding[0])
    start, length = longest_run(levels[first : int(sounding[-1])] < unheard)
    seconds = length * _STEP_SECONDS
    if seconds <= longest:
        return None
    return Problem("pause", f"{seconds:.1f} s of silence at {(first + start) * _STEP_SECONDS:.1f} s")


def _clipped(wave: NDArray[np.float32], rate: int) -> Problem | None:
    full = np.abs(wave) >= _FULL
    if not full.any():
        return None
    starts, lengths = runs(full)
    flat = lengths >= _FLAT_TOP
    samples = int(lengths[flat].sum())
    if samples < _CRACKLE:
        return None
    return Problem("clipped", f"{samples} samples at full scale, the first at {starts[flat][0] / rate:.1f} s")


def _offset(wave: NDArray[np.float32]) -> Problem | None:
    mean = float(np.mean(wave, dtype=np.float64))
    return Problem("dc", f"the samples have a mean of {mean:+.3f} instead of 0") if abs(mean) > _OFFSET else None


def _noise(wave: NDArray[np.float32], rate: int, text: str, unheard: float, longest: float) -> Problem | None:
    """Noise in a take. Where the text has `<whisper>`, only the first half of what comes before it is looked at, by the
    number of letters: the voice may be faster there than afterwards.
    """
    if (whisper := _WHISPER.search(text)) is not None:
        before, whole = (sum(map(str.isalpha, TAG.sub("", part))) for part in (text[: whisper.start()], text))
        wave, text = wave[: round(len(wave) * before / max(whole, 1) / 2)], text[: whisper.start()]
    longest += tag_tokens(text) / _TOKENS_A_SECOND
    start, seconds = longest_noise(wave, rate, unheard)
    return Problem("noise", f"{seconds:.1f} s of noise at {start:.1f} s") if seconds > longest else None


def _ending(levels: NDArray[np.float64], loud: float, seconds: float) -> Problem | None:
    steps = math.ceil(seconds / _STEP_SECONDS)
    if not 0 < steps < len(levels):
        return None
    over = float(levels[-steps:].max()) - loud
    if over < _FADED_DB:
        return None
    level = f"only {-over:.0f} dB below" if over < 0 else f"{over:.0f} dB above"
    return Problem("ending", f"cut off: the last {seconds:g} s is {level} speech level")


def _ends_in_tag(text: str) -> bool:
    """Whether the text ends in a tag, whose sound may end without fading."""
    rest = TAG.split(text)
    return len(rest) > 1 and not re.search(r"\w", rest[-1])
