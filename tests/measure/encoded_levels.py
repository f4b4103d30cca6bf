"""What encoders do to the levels of mastered speech: `python -m tests.measure.encoded_levels BOOK OUTPUT`.

BOOK is a manifest whose takes are in the folder OUTPUT. Each chapter is mastered with each preset, encoded in each
lossy format, sample rate and a low and a high bitrate, and measured by pyloudnorm and by ffmpeg's ebur128. The last
column is by how much the true peak is above the preset's. `--whole` prints each file, not the worst of each kind.
"""

import io
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from maya_batch.audio.chapter_file import write_chapter
from maya_batch.audio.ffmpeg import file_url, read_blocks
from maya_batch.audio.mastering import ChapterMaster
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.stitch import Clip, segments
from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.audio.writers import Target
from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.manifest import Master, Render
from maya_batch.manifest.audio_formats import CHOICES
from maya_batch.run.loading import Loaders, load_book_codec
from tests.audio.test_mastering import by_ffmpeg

PRESETS: dict[str, object] = {"podcast": "podcast", "store": "store", "tight": {"lufs": -16, "true_peak": -6}}
TAGS = TrackTags("a", "b", "c", 1, 1, "d")


def encodings() -> Iterator[Target]:
    """Lossy formats at each rate, with the lowest and the highest usual bitrate there."""
    for name in ("mp3", "m4a", "opus"):
        for rate in CHOICES[name].sample_rates or (24000,):
            possible = [rate_ for rate_ in CHOICES[name].bitrates_at(rate) if 48 <= int(rate_[:-1]) <= 192]
            for bitrate in dict.fromkeys((possible[0], "64k", possible[-1])):
                if bitrate in possible:
                    yield Target(Path(), name, bitrate, None if rate == 24000 else rate)


def loudness(path: Path) -> float:
    """LUFS by pyloudnorm."""
    import pyloudnorm

    sound = b"".join(read_blocks(["-i", file_url(path), "-ar", "48000", "-f", "f32le", "pipe:1"], 1 << 20))
    return float(pyloudnorm.Meter(48000).integrated_loudness(np.frombuffer(sound, "<f4")))


def main() -> None:
    plan = make_plan(Path(sys.argv[1]), Render(), output=Path(sys.argv[2]))
    state = book_state(plan, Machine(), Path(sys.argv[2]))
    waveforms = WaveformCache(lambda: load_book_codec(state, Machine(), Loaders(), False))
    waveforms.load()
    rate, worst = plan.layout.sampling_rate, defaultdict[tuple[str, str], list[tuple[float, float, float]]](list)
    with tempfile.TemporaryDirectory() as folder:
        for chapter in plan.chapters:
            clips = [
                Clip(waveforms.pop(take), chunk.pause, chunk.voice, str(chunk.index))
                for chunk in chapter.chunks
                if (take := state.take(chunk)) is not None
            ]
            for preset, settings in PRESETS.items():
                chosen = Master.model_validate(settings)
                master = ChapterMaster(chosen, rate, 1, io.BytesIO())
                pcm = b"".join(master.pcm(segments(clips, start=0.75, end=3.0, sampling_rate=rate)))
                targets = [Target(Path(folder) / "plain.wav", "wav")]
                targets += [
                    Target(Path(folder) / f"{number}.{target.type}", target.type, target.bitrate, target.sample_rate)
                    for number, target in enumerate(encodings())
                ]
                write_chapter([pcm], targets, TAGS, rate)
                for target in targets:
                    by_log, peak = by_ffmpeg(target.path)
                    by_python = loudness(target.path)
                    wanted = chosen.lufs if chosen.lufs is not None else by_log  # RMS: told by the WAV alone
                    row = (by_log - wanted, by_python - wanted, peak - chosen.true_peak)
                    name = f"{target.type} {target.bitrate or ''} {target.sample_rate or rate}"
                    worst[preset, name].append(row)
                    if "--whole" in sys.argv:
                        print(chapter.number, preset, name, *(f"{value:+.2f}" for value in row), flush=True)
    for (preset, name), rows in worst.items():
        low = max(rows, key=lambda row: max(abs(row[0]), abs(row[1])))
        print(f"{preset:8} {name:20} LU {low[0]:+.2f} {low[1]:+.2f}  dBTP {max(row[2] for row in rows):+.2f}")


if __name__ == "__main__":
    main()
