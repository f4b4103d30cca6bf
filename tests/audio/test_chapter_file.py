import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from maya_batch.audio import writers
from maya_batch.audio.chapter_file import part_files, read_comment, rewrite_tags, write_chapter
from maya_batch.audio.metadata import Picture, TrackTags
from maya_batch.audio.writers import CHAPTER_FORMATS, FORMATS, Target
from maya_batch.errors import MachineError
from maya_batch.files.atomic_write import part_of
from maya_batch.manifest.audio_formats import CHOICES

RATE = 24000
ROOT = Path(__file__).parents[2]
TAGS = TrackTags(
    title="Café “quotes” 😀",
    album="日本語 — книга",
    artist="Zoë",
    track=3,
    tracks=12,
    comment="key=é“”😀日本語",
)
PICTURE = Picture(b"\xff\xd8\xff" + bytes(range(256)) * 300, "image/jpeg")
ALL = sorted(FORMATS)
ENCODED = len(ALL) - 1
"""Those that ffmpeg writes."""


def speech(seconds: float) -> NDArray[np.int16]:
    """Something with syllables: a voice-like buzz that swells and falls three times a second."""
    at = np.arange(round(seconds * RATE)) / RATE
    buzz = np.zeros(len(at))
    for k in range(1, 8):
        buzz += np.sin(2 * np.pi * 130 * k * at + k) / k
    noise = np.random.default_rng(1).standard_normal(len(at))
    pcm: NDArray[np.int16] = (5000 * (buzz + 0.1 * noise) * np.sin(np.pi * 3 * at) ** 2).astype(np.int16)
    return pcm


def pieces(pcm: NDArray[np.int16], size: int = 5000) -> Iterator[bytes]:
    for at in range(0, len(pcm), size):
        yield pcm[at : at + size].tobytes()


def targets(folder: Path, *types: str) -> list[Target]:
    return [Target(folder / f"03 one.{kind}", kind) for kind in types or ALL]


def decoded(path: Path) -> NDArray[np.int16]:
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "s16le", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.int16)


def children(parent: int | None = None) -> list[int]:
    """Process ids of the ffmpegs that `parent`, or this process, has started, those not reaped included."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # gone meanwhile
            name, _, rest = entry.read_text().rpartition(")")
            if "(ffmpeg" in name and int(rest.split()[1]) == (parent or os.getpid()):
                found.append(int(entry.parent.name))
    return found


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def test_wav_holds_the_pcm_bit_for_bit(tmp_path: Path) -> None:
    pcm = speech(2.5)
    assert write_chapter(pieces(pcm), targets(tmp_path, "wav"), TAGS) == 2.5
    with wave.open(str(tmp_path / "03 one.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        assert file.readframes(file.getnframes()) == pcm.tobytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["03 one.wav"]


def test_mp3_decodes_to_the_same_sound(tmp_path: Path) -> None:
    pcm = speech(5.0)
    write_chapter(pieces(pcm), targets(tmp_path, "mp3"), TAGS)
    back = decoded(tmp_path / "03 one.mp3")
    assert abs(len(back) - len(pcm)) <= 0.06 * RATE
    shared = min(len(back), len(pcm))
    assert np.corrcoef(back[:shared], pcm[:shared])[0, 1] > 0.99


def test_bitrate_is_the_one_asked_for(tmp_path: Path) -> None:
    from mutagen.mp3 import MP3

    for bitrate in ("32k", "96k"):
        write_chapter(pieces(speech(4.0)), [Target(tmp_path / "a.mp3", "mp3", bitrate)], TAGS)
        assert MP3(tmp_path / "a.mp3").info.bitrate == pytest.approx(int(bitrate[:-1]) * 1000, rel=0.02)


def test_narrator_publisher_date_series_and_cover_come_back(tmp_path: Path) -> None:
    import soundfile
    from mutagen.id3 import ID3

    picture = b"\xff\xd8\xff\xe0" + bytes(3_000_000)
    more: dict[str, Any] = {
        "narrator": "Mäya",
        "publisher": "A House",
        "date": "1895-05",
        "series": "Lamps",
        "series_number": "2.5",
    }
    tags = replace(TAGS, **more, cover=Picture(picture, "image/jpeg"))
    write_chapter(pieces(speech(0.5)), targets(tmp_path), tags)
    id3 = ID3(tmp_path / "03 one.mp3")
    assert [str(id3[name]) for name in ("TCOM", "TPUB", "TDRC", "MVNM", "MVIN")] == list(more.values())
    [cover] = id3.getall("APIC")
    assert (cover.data, cover.mime, cover.type) == (picture, "image/jpeg", 3)
    with soundfile.SoundFile(tmp_path / "03 one.wav") as wav:
        assert wav.date == "1895-05"
    for kind in ALL:
        assert read_comment(tmp_path / f"03 one.{kind}") == TAGS.comment
    write_chapter(pieces(speech(0.5)), targets(tmp_path), TAGS)
    assert not {"TCOM", "TPUB", "TDRC", "MVNM", "MVIN"} & set(ID3(tmp_path / "03 one.mp3"))


def test_tags_come_back(tmp_path: Path) -> None:
    import soundfile
    from mutagen.id3 import ID3

    write_chapter(pieces(speech(0.5)), targets(tmp_path), TAGS)
    id3 = ID3(tmp_path / "03 one.mp3")
    assert id3.version == (2, 4, 0)
    assert [str(id3[name]) for name in ("TIT2", "TALB", "TPE1", "TRCK", "COMM:maya-batch:eng")] == [
        TAGS.title,
        TAGS.album,
        TAGS.artist,
        "3/12",
        TAGS.comment,
    ]
    with soundfile.SoundFile(tmp_path / "03 one.wav") as file:
        assert [file.title, file.album, file.artist, file.tracknumber, file.comment] == [
            TAGS.title,
            TAGS.album,
            TAGS.artist,
            "3/12",
            TAGS.comment,
        ]


@pytest.mark.parametrize("comment", ["", "x", TAGS.comment, "long " * 4000, "two\nlines\r\n\ttab"])
def test_comment_comes_back_from_all_formats(tmp_path: Path, comment: str) -> None:
    tags = TrackTags("", "", "", 1, 1, comment)
    write_chapter(pieces(speech(0.2)), targets(tmp_path), tags)
    for target in targets(tmp_path):
        assert read_comment(target.path) == comment


def test_tags_that_files_cannot_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="title"):
        TrackTags("a\0b", "", "", 1, 1, "")
    with pytest.raises(ValueError, match="comment"):
        TrackTags("", "", "", 1, 1, "\ud800")


@pytest.mark.slow
def test_the_same_pcm_and_tags_give_the_same_bytes(tmp_path: Path) -> None:
    pcm = speech(3.0)
    for folder, size in (("a", 5000), ("b", 777)):
        write_chapter(pieces(pcm, size), targets(tmp_path / folder), TAGS)
    time.sleep(1.1)  # a time of day in seconds would show
    write_chapter(pieces(pcm), targets(tmp_path / "c"), TAGS)
    for kind in ALL:
        assert len({(tmp_path / folder / f"03 one.{kind}").read_bytes() for folder in "abc"}) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no"), OSError("theirs")])
def test_an_exception_half_way_leaves_the_old_files_alone(tmp_path: Path, error: BaseException) -> None:
    write_chapter(pieces(speech(0.3)), targets(tmp_path), TAGS)
    old = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def breaks() -> Iterator[bytes]:
        yield from pieces(speech(3.0))
        assert len(part_files(tmp_path)) >= 1
        assert len(children()) == ENCODED
        raise error

    with pytest.raises(type(error)) as raised:
        write_chapter(breaks(), targets(tmp_path), TAGS)
    assert raised.value is error
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == old
    assert children() == []


def test_a_killed_run_leaves_no_final_name_and_the_next_run_mends_it(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from maya_batch.audio.chapter_file import write_chapter
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.writers import Target
import time
def pcm():
    for _ in range(20):
        yield bytes(48000)
    print("half", flush=True)
    time.sleep(60)
write_chapter(pcm(), [Target(Path({str(tmp_path)!r}) / f"03 one.{{t}}", t) for t in {ALL}],
              TrackTags("", "", "", 1, 1, ""))
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"half\n"
        encoders = children(run.pid)
        run.send_signal(signal.SIGKILL)
    assert len(encoders) == ENCODED
    deadline = time.monotonic() + 5
    while any(map(is_running, encoders)):  # their input ended, so they end
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert part_files(tmp_path) == sorted(tmp_path.iterdir())
    write_chapter(pieces(speech(0.3)), targets(tmp_path), TAGS)
    assert sorted(tmp_path.iterdir()) == [target.path for target in targets(tmp_path)]


def test_stale_parts_are_replaced_not_written_through(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    part_of(tmp_path / "03 one.wav").symlink_to(precious)
    part_of(tmp_path / "03 one.mp3").write_bytes(b"x" * 1000000)
    write_chapter(pieces(speech(0.3)), targets(tmp_path), TAGS)
    assert precious.read_text() == "mine"
    assert [read_comment(target.path) for target in targets(tmp_path)] == [TAGS.comment] * len(ALL)


@pytest.mark.parametrize("kind", ALL)
def test_a_reader_sees_the_old_file_whole_while_it_is_replaced(tmp_path: Path, kind: str) -> None:
    (target,) = targets(tmp_path, kind)
    write_chapter(pieces(speech(1.0)), [target], TAGS)
    old = target.path.read_bytes()
    over = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not over.is_set():
            seen.add(target.path.read_bytes())

    reader = threading.Thread(target=read)
    with target.path.open("rb") as opened_before:
        reader.start()
        write_chapter(pieces(speech(20.0)), [target], TAGS)
        over.set()
        reader.join()
        assert opened_before.read() == old
    assert seen <= {old, target.path.read_bytes()}
    assert old in seen


@pytest.mark.parametrize("kind", ALL)
def test_a_full_disk_is_told_in_one_line(tmp_path: Path, kind: str) -> None:
    # A limit on file size stands in for the full disk: to libsndfile and ffmpeg it is a write that fails.
    program = f"""
import resource
from pathlib import Path
from maya_batch.audio.chapter_file import write_chapter
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.writers import Target
from maya_batch.errors import MachineError
import numpy as np
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
noise = np.random.default_rng(0).integers(-9000, 9000, 24000, "int16").tobytes()
try:
    write_chapter((noise for _ in range(50)), [Target(Path({str(tmp_path)!r}) / "a.{kind}", {kind!r})],
                  TrackTags("", "", "", 1, 1, ""))
except MachineError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith(f"{tmp_path}/a.{kind}: ")
    assert ran.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_ffmpeg_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"a\.mp3: ffmpeg failed: .*\S"):
        write_chapter(pieces(speech(30.0)), [Target(tmp_path / "a.mp3", "mp3", "nonsense")], TAGS)
    assert list(tmp_path.iterdir()) == []
    assert children() == []


def test_ffmpeg_that_dies_is_noticed(tmp_path: Path) -> None:
    def kills() -> Iterator[bytes]:
        yield from pieces(speech(1.0))
        os.kill(children()[0], signal.SIGKILL)
        yield from pieces(speech(30.0))

    with pytest.raises(MachineError, match="ffmpeg failed: it exited with status -9"):
        write_chapter(kills(), targets(tmp_path), TAGS)
    assert list(tmp_path.iterdir()) == []
    assert children() == []


def test_ffmpeg_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import imageio_ffmpeg

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: "/nowhere/ffmpeg")
    with pytest.raises(MachineError, match="ffmpeg does not start"):
        write_chapter(pieces(speech(0.1)), targets(tmp_path), TAGS)
    assert list(tmp_path.iterdir()) == []


def test_wav_stops_before_riff_overflows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (1 << 31) < writers.RIFF_BYTES < (1 << 32)
    monkeypatch.setattr(writers, "RIFF_BYTES", 100000)
    with pytest.raises(MachineError, match="4 GiB"):
        write_chapter(pieces(speech(10.0)), targets(tmp_path), TAGS)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "03 one.wav").mkdir()
    with pytest.raises(MachineError, match=r"03 one\.wav: cannot be written: there is a folder of this name; move it"):
        write_chapter(pieces(speech(0.1)), targets(tmp_path, "wav"), TAGS)
    assert part_files(tmp_path) == []


def test_calls_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    one = targets(tmp_path, "wav")
    for pcm, where, what in (
        ([b"\0\0"], [], "one or more targets"),
        ([b"\0\0"], one * 2, "different names"),
        ([b"\0\0"], [Target(tmp_path / "a.ogg", "ogg")], "unknown format ogg; known: wav, mp3"),
        ([b"\0\0\0"], one, "half a sample"),
        ([], one, "no sound"),
        ([b""], targets(tmp_path), "no sound"),
    ):
        with pytest.raises(ValueError, match=what):
            write_chapter(pcm, where, TAGS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ALL)
def test_cut_or_grown_files_have_no_comment(tmp_path: Path, kind: str) -> None:
    (target,) = targets(tmp_path, kind)
    write_chapter(pieces(speech(1.0)), [target], TAGS)
    whole = target.path.read_bytes()
    broken = tmp_path / f"broken.{kind}"
    for size in [*range(200), *range(200, len(whole), 97), len(whole) - 2, len(whole) - 1]:
        broken.write_bytes(whole[:size])
        assert read_comment(broken) is None, size
    broken.write_bytes(whole + b"\0")
    assert read_comment(broken) is None
    broken.write_bytes(whole)
    assert read_comment(broken) == TAGS.comment


@pytest.mark.parametrize("kind", ALL)
def test_hostile_bytes_never_raise(tmp_path: Path, kind: str) -> None:
    (target,) = targets(tmp_path, kind)
    write_chapter(pieces(speech(0.2)), [target], TAGS)
    whole = target.path.read_bytes()
    broken = tmp_path / f"broken.{kind}"
    rng = random.Random(7)
    for round_ in range(400):
        bad = bytearray(whole[: rng.choice([64, 400, len(whole)])])
        for _ in range(rng.choice([1, 4, 40])):
            bad[rng.randrange(min(len(bad), 400))] = rng.randrange(256)
        if round_ % 10 == 0:
            bad = bytearray(whole[:12] + rng.randbytes(3000))
        broken.write_bytes(bad)
        assert read_comment(broken) is None or isinstance(read_comment(broken), str)


def test_files_of_others_have_no_comment(tmp_path: Path) -> None:
    import soundfile
    from mutagen.id3 import COMM, ID3, TSSE

    write_chapter(pieces(speech(0.2)), targets(tmp_path), TAGS)
    with soundfile.SoundFile(tmp_path / "o.wav", "w", RATE, 1) as file:
        file.comment = "a comment"
        file.buffer_write(bytes(4800), "int16")
    assert read_comment(tmp_path / "o.wav") is None
    mp3 = tmp_path / "03 one.mp3"
    id3 = ID3(mp3)
    id3.add(TSSE(encoding=3, text=["another program"]))
    id3.save(mp3)
    assert read_comment(mp3) is None
    id3.delall("COMM")
    id3.add(TSSE(encoding=3, text=["maya-batch"]))
    id3.add(COMM(encoding=3, lang="eng", desc="", text=["a comment"]))
    id3.save(mp3)
    assert read_comment(mp3) == ""


def test_whatever_is_no_file_has_no_comment(tmp_path: Path) -> None:
    write_chapter(pieces(speech(0.2)), targets(tmp_path), TAGS)
    (tmp_path / "link.wav").symlink_to(tmp_path / "03 one.wav")
    (tmp_path / "folder.wav").symlink_to(tmp_path)
    (tmp_path / "dir.mp3").mkdir()
    os.mkfifo(tmp_path / "fifo.wav")
    (tmp_path / "empty.mp3").touch()
    for name in ("link.wav", "folder.wav", "dir.mp3", "fifo.wav", "empty.mp3", "none.wav", "nul\0.wav"):
        assert read_comment(tmp_path / name) is None, name
    assert read_comment(Path("/dev/zero")) is None


@pytest.mark.parametrize("kind", ALL)
def test_comment_is_read_in_milliseconds(tmp_path: Path, kind: str) -> None:
    (target,) = targets(tmp_path, kind)
    write_chapter(pieces(speech(60.0)), [target], TAGS)
    read_comment(target.path)
    times = []
    for _ in range(50):
        start = time.perf_counter()
        read_comment(target.path)
        times.append(time.perf_counter() - start)
    assert sorted(times)[25] < 0.02


def test_tags_edited_by_others_keep_the_comment(tmp_path: Path) -> None:
    from mutagen.id3 import APIC, ID3

    (target,) = targets(tmp_path, "mp3")
    write_chapter(pieces(speech(0.5)), [target], TAGS)
    id3 = ID3(target.path)
    id3.add(APIC(encoding=3, mime="image/png", type=3, desc="", data=bytes(400000)))
    id3.save(target.path, v2_version=3)
    assert read_comment(target.path) == TAGS.comment


def test_part_files_are_only_ours(tmp_path: Path) -> None:
    (tmp_path / ".a.wav.part").touch()
    (tmp_path / ".b.part").mkdir()
    (tmp_path / "c.part").touch()
    (tmp_path / ".d.wav.part").symlink_to(tmp_path / "c.part")
    (tmp_path / ".download.zip.part").touch()
    assert part_files(tmp_path) == [part_of(tmp_path / "a.wav")] == [tmp_path / ".a.wav.part"]
    assert part_files(tmp_path / "nowhere") == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_chapter(tmp_path: Path) -> None:
    program = f"""
import resource, sys
from pathlib import Path
from maya_batch.audio.chapter_file import write_chapter
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.writers import Target
import numpy as np
minute = np.random.default_rng(0).integers(-3000, 3000, 24000 * 60, "int16").tobytes()
def write(minutes, *types):
    targets = [Target(Path({str(tmp_path)!r}) / f"a.{{t}}", t) for t in types]
    write_chapter((minute for _ in range(minutes)), targets, TrackTags("", "", "", 1, 1, ""))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = write(1, "wav", "mp3")
print(write(60, "wav") - before, write(20, "wav", "mp3") - before)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    grown = [int(kilobytes) for kilobytes in ran.stdout.split()]  # 170 and 65 MB of sound
    assert max(grown) < 8000


def test_import_is_light() -> None:
    program = """
import sys
import maya_batch.audio.chapter_file, maya_batch.audio.stitch
heavy = {"soundfile", "pydub", "mutagen", "imageio_ffmpeg", "torch"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_encoder_does_not_hear_ctrl_c(tmp_path: Path) -> None:
    found: list[int] = []

    def looks() -> Iterator[bytes]:
        yield from pieces(speech(0.5))
        found.extend(os.getpgid(child) for child in children())

    write_chapter(looks(), targets(tmp_path, "mp3"), TAGS)
    assert found
    assert os.getpgid(0) not in found


@pytest.mark.parametrize(("kind", "rate"), [*((kind, None) for kind in CHAPTER_FORMATS), ("wav", 44100)])
@pytest.mark.parametrize("covers", [(PICTURE, None), (None, PICTURE), (PICTURE, PICTURE)])
def test_other_tags_give_the_bytes_of_a_file_written_with_them(
    kind: str, covers: tuple[Picture | None, Picture | None], rate: int | None, tmp_path: Path
) -> None:
    old = replace(TAGS, comment="maya-batch old", title="Old" * 500, narrator="N.", cover=covers[0])
    new = replace(TAGS, comment="maya-batch new", series="S", description="More than before. " * 300, cover=covers[1])
    changed, written = (Target(tmp_path / f"{name}.{kind}", kind, sample_rate=rate) for name in ("changed", "written"))
    write_chapter(pieces(speech(2.0)), [changed], old)
    write_chapter(pieces(speech(2.0)), [written], new)
    rewrite_tags(changed, new)
    assert read_comment(changed.path) == "maya-batch new"
    assert changed.path.read_bytes() == written.path.read_bytes()
    rewrite_tags(written, old)
    write_chapter(pieces(speech(2.0)), [changed], old)
    assert changed.path.read_bytes() == written.path.read_bytes()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("kind", [kind for kind in CHAPTER_FORMATS if CHOICES[kind].sample_rates])
def test_another_sampling_rate_has_the_same_sound_and_length(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    write_chapter(pieces(speech(3.0)), [Target(path, kind, sample_rate=44100)], TAGS)
    import mutagen

    info = mutagen.File(path).info
    assert info.sample_rate == 44100
    assert info.length == pytest.approx(3.0, abs=0.1)
    assert read_comment(path) == TAGS.comment
    sound = decoded(path).astype(float)
    level, was = (float(np.sqrt(np.mean(np.square(each)))) for each in (sound, speech(3.0).astype(float)))
    assert level == pytest.approx(was, rel=0.1)


def test_a_wav_of_another_rate_is_read_by_other_programs(tmp_path: Path) -> None:
    import soundfile

    write_chapter(pieces(speech(2.0)), [Target(tmp_path / "a.wav", "wav", sample_rate=48000)], TAGS)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (48000, 1, 96000)
    with soundfile.SoundFile(tmp_path / "a.wav") as file:
        assert (file.title, file.artist, file.frames) == (TAGS.title, TAGS.artist, 96000)
