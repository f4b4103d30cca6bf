"""What encoders do to the levels of mastered speech: `python -m tests.measure.encoded_levels BOOK OUTPUT`.

BOOK is a manifest whose takes are in the folder OUTPUT. Each chapter is mastered with each preset, encoded in each
lossy format and sample rate with usual bitrates, and measured by ffmpeg's ebur128 and by pyloudnorm, against the WAV.
The last column is by how much the true peak is above the preset's. `--all` takes all bitrates, and measures peaks only,
with our own meter. `--kept` writes the first chunks as `render` does, with all bitrates, each preset and a limiter
that takes away 6 dB, and tells by how much peaks are too high as ffmpeg measures them, and what was told of it.
"""

import io
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from maya_batch.audio.chapter_file import write_chapter
from maya_batch.audio.encoder_headroom import headroom
from maya_batch.audio.ffmpeg import file_url, read_blocks
from maya_batch.audio.file_sound import file_sound
from maya_batch.audio.mastering import ChapterMaster
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.stitch import Clip, segments
from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.audio.writers import Target
from maya_batch.book.chunk import Chunk
from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.book.take_store import Take
from maya_batch.manifest import Format, Master, Render
from maya_batch.manifest.audio_formats import CHOICES
from maya_batch.manifest.mastering import PRESETS
from maya_batch.run.chapter_job import ChapterJob
from maya_batch.run.loading import Loaders, load_book_codec
from tests.audio.test_mastering import by_ffmpeg

_KEPT_CHUNKS = 8
TAGS = TrackTags("a", "b", "c", 1, 1, "d")


def encodings(all_bitrates: bool) -> Iterator[Target]:
    """Lossy formats at each rate, as they are mastered; with all bitrates, or a low, the usual and a high one."""
    for name in ("mp3", "m4a", "opus"):
        for rate in CHOICES[name].sample_rates or (24000,):
            possible = CHOICES[name].bitrates_at(rate)
            usual = [bitrate for bitrate in ("48k", "64k", "128k", "192k") if bitrate in possible]
            for bitrate in possible if all_bitrates else usual:
                own = None if rate == 24000 else rate
                yield Target(Path(), name, bitrate, own, as_loud=True)


def loudness(path: Path) -> float:
    """LUFS by pyloudnorm."""
    import pyloudnorm

    sound = b"".join(read_blocks(["-i", file_url(path), "-ar", "48000", "-f", "f32le", "pipe:1"], 1 << 20))
    return float(pyloudnorm.Meter(48000).integrated_loudness(np.frombuffer(sound, "<f4")))


def named(target: Target, rate: int) -> str:
    return f"{target.type} {target.bitrate or ''} {target.sample_rate or rate}"


def kept(clips: Sequence[tuple[Chunk, Take]], waveforms: WaveformCache, rate: int, folder: Path) -> None:
    """Print by how much the peaks of each file are too high."""
    for name in (*PRESETS, "harsh"):
        chosen = Master.model_validate({"lufs": -16, "true_peak": -6} if name == "harsh" else name)
        for target in encodings(True):
            format_ = Format.model_validate(
                {"type": target.type, "bitrate": target.bitrate, "sample_rate": target.sample_rate}
            )
            at = replace(target, path=folder / f"a.{target.type}")
            job = ChapterJob(clips, [at], TAGS, 0.75, 3.0, rate, chosen, 1, folder, headroom([format_], rate))
            _, sound = job.write(waveforms, lambda: None)
            over = by_ffmpeg(at.path)[1] - chosen.true_peak
            told = f"told {sound.over:.2f}, missed {sound.missed:.1f} dB"
            print(f"{over:+.1f} {name:8} {named(target, rate):16} {told}", flush=True)


def main() -> None:
    plan = make_plan(Path(sys.argv[1]), Render(), output=Path(sys.argv[2]))
    state = book_state(plan, Machine(), Path(sys.argv[2]))
    waveforms = WaveformCache(lambda: load_book_codec(state, Machine(), Loaders(), False))
    waveforms.load()
    rate, peaks_only = plan.layout.sampling_rate, "--all" in sys.argv
    if "--kept" in sys.argv:
        chunks = plan.chapters[0].chunks[:_KEPT_CHUNKS]
        first = [(chunk, take) for chunk in chunks if (take := state.take(chunk)) is not None]
        with tempfile.TemporaryDirectory() as folder:
            kept(first, waveforms, rate, Path(folder))
        return
    worst = defaultdict[tuple[str, str], list[tuple[float, float, float]]](list)
    with tempfile.TemporaryDirectory() as folder:
        for chapter in plan.chapters:
            clips = [
                Clip(waveforms.pop(take), chunk.pause, chunk.voice, str(chunk.index))
                for chunk in chapter.chunks
                if (take := state.take(chunk)) is not None
            ]
            for preset in PRESETS:
                chosen = Master.model_validate(preset)
                targets = [Target(Path(folder) / "plain.wav", "wav")]
                targets += [
                    replace(target, path=Path(folder) / f"{number}.{target.type}")
                    for number, target in enumerate(encodings(peaks_only))
                ]
                master = ChapterMaster(chosen, rate, 1, io.BytesIO())
                master.read(segments(clips, start=0.75, end=3.0, sampling_rate=rate))
                pcm = b"".join(master.pcm())
                for target in targets:
                    write_chapter([pcm], [target], TAGS, rate)
                if peaks_only:
                    for target in targets:
                        peak = file_sound(target.path).true_peak - chosen.true_peak
                        print(f"{chapter.number} {preset:8} {named(target, rate):16} dBTP {peak:+.2f}", flush=True)
                    continue
                plain = by_ffmpeg(targets[0].path)[0], loudness(targets[0].path)
                for target in targets:
                    by_log, peak = by_ffmpeg(target.path)
                    row = (by_log - plain[0], loudness(target.path) - plain[1], peak - chosen.true_peak)
                    worst[preset, named(target, rate)].append(row)
    for (preset, name), rows in worst.items():
        low = max(rows, key=lambda row: max(abs(row[0]), abs(row[1])))
        print(f"{preset:8} {name:16} LU {low[0]:+.2f} {low[1]:+.2f}  dBTP {max(row[2] for row in rows):+.2f}")


if __name__ == "__main__":
    main()
