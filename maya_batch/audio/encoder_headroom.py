"""By how much lossy encoders raise the true peak of speech, which mastering leaves room for.

It spares a second encoding as a rule; `encoded_peaks` measures what became of it.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from maya_batch.manifest import Format

_Steps = tuple[tuple[float, float], ...]
_AAC: _Steps = ((4.0, 0.0), (1.3, 0.4), (0.8, 0.7), (0.0, 2.9))
#: By format, dB by the bits that it has for each sample, from so many on: what keeps speech of the demo voice within
#: 0.2 dB of the presets' true peaks, rounded up (`python -m tests.measure.encoded_levels`). With 4 bits and more, peaks
#: rise by less than the limiter spares anyway. The AAC encoder distorts below 0.8 bits (32k at 44.1 kHz).
_RAISED: Mapping[str, _Steps] = MappingProxyType(
    {"mp3": ((4.0, 0.0), (2.5, 0.1), (0.0, 0.3)), "m4a": _AAC, "m4b": _AAC}
)


def headroom(formats: Iterable[Format], sampling_rate: int) -> float:
    """The room in dB that the true peak of a sound at `sampling_rate` needs for all of these formats."""
    return max((_raised(format_, sampling_rate) for format_ in formats), default=0.0)


def _raised(format_: Format, sampling_rate: int) -> float:
    steps = _RAISED.get(format_.type)
    if steps is None or format_.bitrate is None:
        return 0.0  # lossless formats, and Opus
    bits = 1000 * int(format_.bitrate.removesuffix("k")) / (format_.sample_rate or sampling_rate)
    return next(raised for least, raised in steps if bits >= least)
