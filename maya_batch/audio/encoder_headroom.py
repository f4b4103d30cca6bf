"""By how much lossy encoders raise the true peak of speech, which mastering leaves room for."""

from collections.abc import Iterable

from maya_batch.manifest import Format

#: dB by the bits that an encoder has for each sample, from so many on: measured with the two presets on speech of the
#: demo voice (`python -m tests.measure.encoded_levels`). With 4 bits and more, peaks rise by less than the limiter
#: spares anyway; where a limiter takes away 6 dB, they rise by about twice as much.
_RAISED = ((4.0, 0.0), (2.5, 0.15), (1.3, 0.3), (0.0, 0.6))
_LOSSLESS = frozenset({"wav", "flac"})
_OPUS_HERTZ = 48_000


def headroom(formats: Iterable[Format], sampling_rate: int) -> float:
    """The room in dB that the true peak of a sound at `sampling_rate` needs for all of these formats."""
    return max((_raised(format_, sampling_rate) for format_ in formats), default=0.0)


def _raised(format_: Format, sampling_rate: int) -> float:
    if format_.type in _LOSSLESS or format_.bitrate is None:
        return 0.0
    rate = _OPUS_HERTZ if format_.type == "opus" else format_.sample_rate or sampling_rate
    bits = 1000 * int(format_.bitrate.removesuffix("k")) / rate
    return next(raised for least, raised in _RAISED if bits >= least)
