"""The lines of a checkpoint's report about its speech. People post the page, so no line contains a path. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from maya_batch.checkpoint.token_layout import FRAME_ORDER, TokenLayout
from maya_batch.engine.api import Decoding, Generation
from maya_batch.messages.plural import plural
from maya_batch.quality import Problem, Transcript
from maya_batch.run.decoding_choice import LEAST_IN_GRAMMAR

#: The width of the first column, and the level of digital silence, in dBFS.
_NAME_WIDTH, _SILENCE = 12, -120.0


@dataclass(frozen=True, eq=False)
class SpokenClip:
    """A text spoken with one seed; texts count from 1."""

    text: int
    seed: int
    expected_frames: int
    generation: Generation
    waveform: NDArray[np.float32]
    """All decoded samples; `render` drops the first `clip_start_samples` of them."""
    transcript: Transcript | None
    problems: tuple[Problem, ...]

    @property
    def frames(self) -> int:
        """Its length in frames."""
        return len(self.generation.codes)


def page_line(name: str, text: str) -> str:
    """A line of the page: a name in the first column, then the text."""
    return f"{name:{_NAME_WIDTH}}{text}"


def public_name(name: str) -> str:
    """The name as the user gave it; for a folder, only the last part of its path."""
    return Path(name).name if Path(name).is_absolute() or Path(name).is_dir() else name


def in_milliseconds(samples: int, layout: TokenLayout) -> str:
    """A number of samples and its length in milliseconds."""
    return f"{samples} samples ({samples / layout.sampling_rate * 1000:.0f} ms)"


def grammar_lines(probabilities: Sequence[float], decoding: Decoding) -> list[str]:
    """The in-grammar probability of each slot, and the decoding that follows from their mean."""
    slots = zip(FRAME_ORDER, probabilities, strict=True)
    mean, name = fmean(probabilities), "constrained" if decoding == "framed" else "unconstrained"
    than = "at least" if decoding == "framed" else "less than"
    return [
        page_line("in-grammar", ", ".join(f"{slot} {probability:.4f}" for slot, probability in slots)),
        page_line("decoding", f"{decoding} ({name}): the mean, {mean:.4f}, is {than} {LEAST_IN_GRAMMAR}"),
    ]


def clip_lines(clips: Sequence[SpokenClip], layout: TokenLayout) -> list[str]:
    """A table of the clips, and its summary."""
    dropped = layout.clip_start_samples
    edge = dropped or layout.frame_samples
    levels = [(level(clip.waveform[:edge]), level(clip.waveform[edge : 2 * edge])) for clip in clips]
    lines = ["text  seed  end     frames  expected  seconds  dBFS before  after  word error"]
    for clip, (before, after) in zip(clips, levels, strict=True):
        error = "-" if clip.transcript is None else f"{clip.transcript.word_error:.2f}"
        lines.append(
            f"{clip.text:<6}{clip.seed:<6}{clip.generation.finish:<8}{clip.frames:6}{clip.expected_frames:10}"
            f"{layout.seconds(clip.frames):9.1f}{before:13.1f}{after:7.1f}{error:>12}"
        )
    frames, expected = sum(clip.frames for clip in clips), sum(clip.expected_frames for clip in clips)
    ended = sum(clip.generation.finish == "eos" for clip in clips)
    start, then = (median(values) for values in zip(*levels, strict=True))
    place = f"{in_milliseconds(dropped, layout)} to drop" if dropped else f"first {edge} samples (none to drop)"
    lines += [
        page_line("EOS", f"ended {ended} of {plural(len(clips), 'sequence')}"),
        page_line("length", f"{frames} frames, {frames / expected:.2f} of the expected number"),
        page_line("clip start", f"median RMS of the {place}: {start:.1f} dBFS; of the next {edge}: {then:.1f} dBFS"),
    ]
    heard = [clip.transcript for clip in clips if clip.transcript is not None]
    error = "not measured: no recognizer on this machine"
    if heard:
        mean = fmean(transcript.word_error for transcript in heard)
        error = f"{mean:.3f} on average, by {public_name(heard[0].recognizer)}"
    return [*lines, page_line("word error", error)]


def level(samples: NDArray[np.float32]) -> float:
    """The RMS level of samples [n], in dBFS."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return max(10 * float(np.log10(power)), _SILENCE) if power else _SILENCE


def cost_lines(
    clips: Sequence[SpokenClip], layout: TokenLayout, generated: float, decoded: float, gpu: int, process: int
) -> list[str]:
    """Speed and memory. `generated` and `decoded` are seconds; `gpu` and `process` are peak bytes, `gpu` 0 on a CPU."""
    frames = sum(clip.frames for clip in clips)
    speech = layout.seconds(frames)
    together = f"{plural(len(clips), 'sequence')} together"
    on_gpu = f"GPU {gpu / 2**30:.2f} GiB, " if gpu else ""
    return [
        page_line("speed", f"{frames / generated:.1f} frames/s, {speech / generated:.2f} x real time ({together})"),
        page_line("", f"codec: {speech / decoded:.1f} x real time"),
        page_line("memory", f"peak: {on_gpu}process {process / 2**30:.2f} GiB"),
    ]
