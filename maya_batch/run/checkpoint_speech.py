"""Measures how a checkpoint speaks three texts with two seeds each."""

import logging
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from maya_batch.audio.chapter_file import write_chapter
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.waveform_cache import audible
from maya_batch.audio.writers import Target
from maya_batch.book.chunk import Chunk
from maya_batch.book.plan import speech_plan
from maya_batch.book.settings import Machine, Sound
from maya_batch.checkpoint.token_layout import TokenLayout
from maya_batch.engine.api import Generation, Request
from maya_batch.interrupt import Stop
from maya_batch.messages.install_hint import install_hint
from maya_batch.quality.audio_checks import check_sound
from maya_batch.quality.code_checks import check_codes
from maya_batch.quality.hearing import SpokenTake
from maya_batch.quality.transcriber import Transcriber
from maya_batch.run.checkpoint_page import SpokenClip, clip_lines, cost_lines, grammar_lines, page_line
from maya_batch.run.cluster.messages import EngineSettings
from maya_batch.run.decoding_choice import LEAST_IN_GRAMMAR, decoding_for
from maya_batch.run.generate import peak_in_process, sequence_seed
from maya_batch.run.loading import Loaders
from maya_batch.run.sample_files import sample_paths
from maya_batch.text.emotion_tags import TAG

log = logging.getLogger(__name__)

#: One with emotions, and two plain sentences.
TEXTS = (
    "I thought you'd be at the station by now... <sigh> I waited until the last train was gone... <laugh> And here "
    "you are, sitting in my kitchen with my dog.",
    "The old man went down to the river, and the boy was waiting for him.",
    "We will stay in this house until the rain is gone.",
)
SEEDS = (0, 1)

#: The comment in the WAV files; the command overwrites only files that have it.
_COMMENT = "maya-batch-doctor"


@dataclass(frozen=True)
class SpeechOptions:
    """The voice, where its clips go, and what model and codec are loaded by."""

    description: str
    folder: Path | None = None
    """The folder for the clips; None: they are not written."""
    loaders: Loaders = field(default_factory=Loaders)


@dataclass(frozen=True)
class _Line:
    """A chunk of a text, and a seed; texts count from 1."""

    text: int
    seed: int
    chunk: Chunk

    @property
    def request(self) -> Request:
        chunk = self.chunk
        part = f"-part-{chunk.index}" if chunk.index > 1 else ""
        key = f"text-{self.text}{part}-seed-{self.seed}"
        seed = sequence_seed(key, 1)
        return Request(key, chunk.description, chunk.text, seed, chunk.max_frames, chunk.expected_frames)


class CheckpointSpeech:
    """The texts, and the recognizer that transcribes them."""

    def __init__(self, sound: Sound, machine: Machine, known_tags: Sequence[str], options: SpeechOptions) -> None:
        """Find the recognizer, and check the output files. Emotion tags not in `known_tags` are not spoken.

        Raises:
            MachineError: the recognizer that was asked for is not on this machine.
            UsageError: there is no such recognizer, or an output file exists that this command did not write.
        """
        self._sound, self._machine, self._loaders = sound, machine, options.loaders
        self._lines = _lines(sound, options.description, known_tags)
        names = [f"{line.request.key}.wav" for line in self._lines]
        self._paths = sample_paths(options.folder, names, "doctor", _COMMENT) if options.folder is not None else []
        self._transcriber = _find_transcriber(sound, machine, self._loaders)

    def report(self, model: Path, codec: Path, tell: Callable[[str], None], stop: Stop) -> list[str]:
        """Load model and codec, speak the texts, pass the page's lines to `tell`, and return the problems.

        Raises:
            MachineError: one of them does not load or fails, or a file cannot be written.
        """
        from maya_batch.engine.device import choose_device

        sound, machine = self._sound, self._machine
        tell(page_line("voice", self._lines[0].chunk.description))
        for line in self._lines:
            if line.seed == SEEDS[0]:
                tell(page_line(f"text {line.text}", line.chunk.text))
        began = time.monotonic()
        engine = EngineSettings.of(machine).load(self._loaders.engine, model)
        layout = engine.layout
        # Drops nothing: the levels before and after the drop point are measured.
        loaded_codec = self._loaders.codec(codec, replace(layout, clip_start_samples=0), machine.device)
        loaded = f"in {time.monotonic() - began:.1f} s: {engine.dtype}, quantization {engine.quantization}"
        tell(page_line("loaded", loaded))
        if self._transcriber is not None:
            self._transcriber.load(str(choose_device(machine.device)))

        requests = [line.request for line in self._lines]
        probabilities = engine.in_grammar_probabilities(requests, sound.sampling)
        decoding = decoding_for(fmean(probabilities))
        for told in grammar_lines(probabilities, decoding):
            tell(told)
        began = time.monotonic()
        batches = engine.generate(requests, sound.sampling, decoding)
        generations = {generation.key: generation for batch in batches for generation in batch}
        generated, began = time.monotonic() - began, time.monotonic()
        waveforms = [loaded_codec.decode(generations[request.key].codes, request.seed) for request in requests]
        decoded = time.monotonic() - began
        clips = [
            self._inspect(line, generations[request.key], waveform, layout)
            for line, request, waveform in zip(self._lines, requests, waveforms, strict=True)
        ]
        gpu = 0 if peak_in_process(engine, machine) else engine.peak_memory()
        process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        for told in (
            *clip_lines(clips, layout),
            *cost_lines(clips, layout, generated, decoded, gpu, process),
        ):
            tell(told)
        if self._paths:
            with stop.deferred():
                tell(page_line("written", f"{self._write(clips, layout)} WAV files; nothing is dropped at their start"))
        problems = [f"text {c.text}, seed {c.seed}: {p.kind}: {p.detail}" for c in clips for p in c.problems]
        if decoding == "free":
            problems.insert(0, f"not Maya1's frame format: the in-grammar probability is less than {LEAST_IN_GRAMMAR}")
        return problems

    def _inspect(
        self, line: _Line, generation: Generation, waveform: NDArray[np.float32], layout: TokenLayout
    ) -> SpokenClip:
        """Check and transcribe a waveform without the samples that `render` drops."""
        chunk, quality, rate = line.chunk, self._sound.quality, layout.sampling_rate
        kept = waveform[layout.clip_start_samples :]
        problems = [
            *check_codes(generation, chunk.text, chunk.expected_frames, layout, None, quality),
            *check_sound(kept, rate, chunk.text, quality),
        ]
        transcript = None
        if self._transcriber is not None and len(kept):
            [(transcript, found)] = self._transcriber.transcribe([SpokenTake(audible(kept), chunk.text)], rate)
            problems += found
        return SpokenClip(
            line.text, line.seed, chunk.expected_frames, generation, audible(waveform), transcript, tuple(problems)
        )

    def _write(self, clips: Sequence[SpokenClip], layout: TokenLayout) -> int:
        """Write the clips that have samples, and return their number."""
        written = 0
        for path, clip in zip(self._paths, clips, strict=True):
            if not len(clip.waveform):
                continue
            pcm = np.rint(clip.waveform * 32767).astype("<i2").tobytes()
            tags = TrackTags(title=path.stem, album="", artist="", track=1, tracks=1, comment=_COMMENT)
            write_chapter([pcm], [Target(path, "wav")], tags, layout.sampling_rate)
            written += 1
        return written


def _lines(sound: Sound, description: str, known_tags: Sequence[str]) -> list[_Line]:
    """The texts with each seed, without unknown tags, which the model would read aloud."""
    lines = []
    for number, text in enumerate(TEXTS, start=1):
        known = TAG.sub(lambda tag: tag.group() if tag.group()[1:-1] in known_tags else "", text)
        chunks = speech_plan(known, description, sound)
        lines += [_Line(number, seed, chunk) for seed in SEEDS for chunk in chunks]
    return lines


def _find_transcriber(sound: Sound, machine: Machine, loaders: Loaders) -> Transcriber | None:
    """The recognizer that was asked for, or the default one if it is on this machine."""
    from maya_batch.quality.recognizers import default_recognizer, recognizer_installed, recognizer_ready

    name = machine.recognizer or default_recognizer("en")
    if machine.recognizer is None and not recognizer_ready(name):
        how = f"maya-batch fetch --recognizer {name}" if recognizer_installed() else install_hint("verify")
        log.info("words are not checked; to check them: `%s`", how)
        return None
    transcriber = loaders.transcriber(name, "en", sound.quality, machine.recognizer_device)
    transcriber.find()
    return transcriber
