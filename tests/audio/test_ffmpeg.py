"""One ffmpeg: how it is started, and what is told when it fails."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from maya_batch.audio.ffmpeg import FfmpegError, FfmpegProcess, file_url, run, run_for_log
from maya_batch.errors import MachineError
from tests.audio.test_chapter_file import children

PCM = ["-f", "s16le", "-ar", "24000", "-ac", "1", "-i", "pipe:0"]
ENDLESS = ["-f", "lavfi", "-i", "anullsrc", "-f", "null", "-"]


def test_what_it_writes_is_given_back() -> None:
    assert run([*PCM, "-f", "s16le", "pipe:1"], b"\1\2" * 500_000) == b"\1\2" * 500_000


def test_its_log_is_given_back() -> None:
    assert "time=00:00:00.50" in run_for_log(["-f", "lavfi", "-i", "anullsrc=duration=0.5", "-f", "null", "-"])


def test_its_last_error_is_told_without_the_names_of_its_parts() -> None:
    with pytest.raises(FfmpegError) as raised:
        run(["-f", "mp3", "-i", "pipe:0", "-f", "null", "-"], b"no sound" * 100)
    assert str(raised.value) == "Error opening input files: Invalid data found when processing input"


@pytest.mark.parametrize("missing", [True, False])
def test_one_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, missing: bool) -> None:
    def program() -> str:
        if missing:
            raise RuntimeError("not here")
        return "/nowhere/ffmpeg"

    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", program)
    for start in (run, run_for_log, FfmpegProcess):
        with pytest.raises(MachineError, match="no ffmpeg found: not here" if missing else "ffmpeg does not start: "):
            start([])


def test_an_interrupt_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(process: "subprocess.Popen[bytes]", *_: object, **__: object) -> None:
        assert os.getpgid(process.pid) != os.getpgid(0)  # Ctrl-C is for this process alone
        raise KeyboardInterrupt

    monkeypatch.setattr("subprocess.Popen.communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(ENDLESS)
    assert children() == []


def test_one_that_is_fed_ends_with_its_input_and_can_be_killed_at_any_time(tmp_path: Path) -> None:
    arguments = [*PCM, "-f", "wav", file_url(tmp_path / "a: b.wav")]
    process = FfmpegProcess(arguments)
    process.write(bytes(4800))
    process.close()
    process.kill()
    assert (tmp_path / "a: b.wav").stat().st_size > 4800
    process = FfmpegProcess(["-y", *arguments])
    process.write(bytes(4800))
    process.kill()
    process.kill()
    assert children() == []


def test_one_that_dies_while_it_is_fed_is_told() -> None:
    process = FfmpegProcess([*PCM, "-f", "null", "-"])
    os.kill(children()[0], 9)
    time.sleep(0.1)
    with pytest.raises(FfmpegError, match=r"^it exited with status -9$"):
        process.write(bytes(10_000_000))
    process.kill()
    assert children() == []
