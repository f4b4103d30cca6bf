"""What the files of a chapter are made of, gathered from the state: writing them needs nothing else, on any thread."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from maya_batch.audio.chapter_file import complete_chapter
from maya_batch.audio.clip_levels import ClipLevel, ClipLevels, steps
from maya_batch.audio.encoded_peaks import EncodedPeaks, TooHighError
from maya_batch.audio.encoder_headroom import headroom
from maya_batch.audio.mastering import ChapterMaster, Mastered
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.resample import resampled
from maya_batch.audio.stitch import Clip, segments
from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.audio.writers import Target
from maya_batch.book.chapter_sound import ChapterSound, ClipSound
from maya_batch.book.chunk import Chunk
from maya_batch.book.output_files import hidden_folder
from maya_batch.book.state import BookState
from maya_batch.book.take_store import Take
from maya_batch.files.atomic_write import part_of, write_errors
from maya_batch.manifest import Master

#: How often the files of a mastered chapter are encoded at most, each time with more room for their peaks.
_TRIES = 4

#: Seconds of silence in a chapter whose chunks are all left out, at least: no format holds a file without sound.
_EMPTY_CHAPTER = 0.1


@dataclass(frozen=True)
class ChapterJob:
    """The takes in use of some chunks, and how they are joined."""

    clips: Sequence[tuple[Chunk, Take]]
    """Without those that are left out."""
    targets: Sequence[Target]
    tags: TrackTags
    start: float
    """Seconds of silence before the first clip; `end` are those after the last one."""
    end: float
    sampling_rate: int
    """In Hz."""
    master: Master | None
    seed: int
    """Of the room tone."""
    hidden: Path
    """The folder `.maya`. With mastering, the PCM waits here in a file that vanishes with the process."""
    headroom: float = 0.0
    """dB below its true peak that the formats of the book need."""
    jingle: Clip | None = None
    """What comes before the clips."""

    def write(
        self, waveforms: WaveformCache, check: Callable[[], None], joined: Callable[[], None] = lambda: None
    ) -> tuple[float, ChapterSound]:
        """Write the files as `written` does; returns their seconds and what was measured."""
        with self.written(waveforms, check, joined) as made:
            return made

    @contextmanager
    def written(
        self, waveforms: WaveformCache, check: Callable[[], None], joined: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[float, ChapterSound]]:
        """Write the files; yields their seconds and what was measured, before they get their names.

        `check` is called often and ends the job by raising an error; `joined` is called after each clip.

        Raises:
            MachineError: the disk is full, ffmpeg failed, or a file cannot be written.
        """
        rate = self.sampling_rate
        pieces = segments(self._clips(waveforms, check, joined), start=self.start, end=self.end, sampling_rate=rate)
        if self.master is None:
            levels = ClipLevels(rate)
            with complete_chapter(levels.watch(pieces), self.targets, self.tags, rate) as seconds:
                yield seconds, self._sound(levels.clips, None)
            return
        with write_errors(self.hidden), tempfile.TemporaryFile(dir=self.hidden) as spool:
            mastering = ChapterMaster(self.master, rate, self.seed, spool, check)
            mastering.read(pieces)
            with self._encoded(mastering, self.master.true_peak, check) as (seconds, over):
                yield seconds, replace(self._sound(mastering.levels.clips, mastering.done), over=round(over, 2))

    @contextmanager
    def _encoded(
        self, mastering: ChapterMaster, true_peak: float, check: Callable[[], None]
    ) -> Iterator[tuple[float, float]]:
        """As `written`, of a mastered chapter: its seconds, and the dB by which a peak is above `true_peak`."""
        room = self.headroom
        for left in reversed(range(_TRIES)):
            peaks = EncodedPeaks(true_peak, self.sampling_rate, check, last=not left)
            try:
                with complete_chapter(mastering.pcm(room), self.targets, self.tags, self.sampling_rate) as seconds:
                    for target in self.targets:
                        peaks.inspect(target, part_of(target.path))
                    yield seconds, peaks.over
                return
            except TooHighError:
                room += peaks.over

    def measure(self, waveforms: WaveformCache, check: Callable[[], None], joined: Callable[[], None]) -> ChapterSound:
        """Measure the clips as `write` does, without mastering, and write nothing."""
        rate = self.sampling_rate
        levels = ClipLevels(rate)
        pieces = segments(self._clips(waveforms, check, joined), start=self.start, end=self.end, sampling_rate=rate)
        for _ in levels.watch(pieces):
            pass
        return self._sound(levels.clips, None)

    def _sound(self, clips: Sequence[ClipLevel], done: Mastered | None) -> ChapterSound:
        gains = [0.0] * len(clips) if done is None else list(done.clip_gains)
        found = {}
        for clip, gain, step in zip(clips, gains, steps(clips, gains), strict=True):
            if clip.voice:  # not the jingle
                heard = clip.sounding
                found[clip.name] = ClipSound(
                    *(_tenth(clip.lufs), round(gain, 2), _tenth(step)),
                    spoken=(self._ms(heard.start), self._ms(heard.end)),
                    quiet=tuple((self._ms(start), self._ms(end)) for start, end in heard.pauses),
                    lead=self._ms(clip.lead),
                )
        if done is None:
            return ChapterSound(found)
        voices = {voice: round(gain, 2) for voice, gain in done.voice_gains.items() if voice}
        return ChapterSound(found, round(done.gain, 2), voices, round(done.missed, 2))

    def _ms(self, samples: int) -> int:
        return round(1000 * samples / self.sampling_rate)

    def _clips(self, waveforms: WaveformCache, check: Callable[[], None], joined: Callable[[], None]) -> Iterator[Clip]:
        if self.jingle is not None:
            yield self.jingle
        for chunk, take in self.clips:
            check()
            yield Clip(waveforms.pop(take), chunk.pause, chunk.voice, str(chunk.index))
            joined()


def chapter_job(
    state: BookState, chunks: Sequence[Chunk], targets: Sequence[Target], tags: TrackTags, with_jingle: bool = False
) -> ChapterJob:
    """The job that writes the takes in use of these chunks, after the book's jingle if it has one and is asked for.

    Chunks that failed are left out if the book sets `failed: omit`.
    """
    clips, pauses = [], state.plan.pauses
    for chunk in chunks:
        take = state.take(chunk)
        if take is None:
            raise ValueError(f"chunk {chunk.ref} has no take")
        if not state.omitted(chunk):
            clips.append((chunk, take))
    before, rate, jingle = chunks[0].pause_before, state.plan.layout.sampling_rate, None
    if with_jingle and state.plan.manuscript.jingle is not None:
        sound = state.plan.manuscript.jingle
        jingle = Clip(resampled(sound.samples, sound.sampling_rate, rate), pauses.after_jingle + before)
        before = 0.0
    end = pauses.chapter_end if clips or jingle is not None else max(pauses.chapter_end, _EMPTY_CHAPTER)
    master = state.plan.book.master
    return ChapterJob(
        clips=clips,
        jingle=jingle,
        # Mastering promises a level, so no encoder may lower it.
        targets=targets if master is None else [replace(target, as_loud=True) for target in targets],
        tags=tags,
        start=pauses.chapter_start + before,
        end=end,
        sampling_rate=rate,
        master=master,
        headroom=headroom(state.plan.book.output.audio, rate),
        seed=chunks[0].chapter,
        hidden=hidden_folder(state.folder),
    )


def _tenth(level: float | None) -> float | None:
    return None if level is None else round(level, 1)
