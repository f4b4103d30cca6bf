"""Whole conversions: quantized by llama.cpp, and whole or not there at all."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from maya_batch.checkpoint.gguf_convert import Converted, FileType, convert
from maya_batch.checkpoint.gguf_file import read_gguf
from maya_batch.checkpoint.gguf_quantize import quantize
from maya_batch.checkpoint.gguf_writer import write_gguf
from maya_batch.checkpoint.locate import DEMO, find_checkpoint
from maya_batch.checkpoint.token_layout import read_layout
from maya_batch.errors import MachineError, UsageError
from tests.support.llama_checkpoint import Array, LlamaCheckpoint, require_gguf, require_llama_cpp

require_gguf()
pytestmark = pytest.mark.slow


@pytest.fixture
def llama(tmp_path: Path) -> LlamaCheckpoint:
    """A checkpoint whose rows have 256 numbers, as K-quants need them."""
    llama = LlamaCheckpoint(tmp_path / "voice")
    llama.config |= {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 16, "num_key_value_heads": 8}
    return llama


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "x.gguf"


def converted(llama: LlamaCheckpoint, target: Path, kind: FileType) -> Converted:
    return convert(find_checkpoint(str(llama.write().folder), "model"), target, kind, lambda *done: None)


def left(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


TYPES: dict[FileType, dict[str, Counter[str]]] = {
    "f32": {"attn_q.weight": Counter(F32=2), "attn_norm.weight": Counter(F32=2)},
    "f16": {"attn_q.weight": Counter(F16=2), "attn_norm.weight": Counter(F32=2)},
    "q8_0": {"attn_q.weight": Counter(Q8_0=2), "attn_norm.weight": Counter(F32=2)},
    "q6_k": {"attn_q.weight": Counter(Q6_K=2), "token_embd.weight": Counter(Q6_K=1)},
    "q5_k_m": {"attn_q.weight": Counter(Q5_K=2), "token_embd.weight": Counter(Q6_K=1)},
    "q4_k_m": {"attn_q.weight": Counter(Q4_K=2), "token_embd.weight": Counter(Q6_K=1)},
}


@pytest.mark.parametrize("kind", TYPES)
def test_what_the_tensors_became_is_told(llama: LlamaCheckpoint, target: Path, kind: FileType) -> None:
    if kind not in ("f32", "f16"):
        require_llama_cpp()
    result = converted(llama, target, kind)
    assert left(target) == ["x.gguf"]
    assert {name: result.types[name] for name in TYPES[kind]} == TYPES[kind]
    assert sum(map(Counter.total, result.types.values())) == len(llama.weights) == len(read_gguf(target).tensors)
    assert result.size == target.stat().st_size
    assert read_layout(target) == read_layout(llama.folder)


def test_rows_that_do_not_fit_a_type_get_another(target: Path) -> None:
    """The demo voice's rows have 384 numbers; its ffn_down's 768, three times 256."""
    require_llama_cpp()
    result = convert(find_checkpoint(DEMO, "model"), target, "q4_k_m", lambda *done: None)
    assert result.types["attn_q.weight"] == Counter(Q5_0=7)
    assert set(result.types["ffn_down.weight"]) == {"Q4_K", "Q6_K"}
    assert result.types["token_embd.weight"] == Counter(Q8_0=1)


def test_values_are_rounded_once(llama: LlamaCheckpoint, target: Path) -> None:
    """Blocks of Q8_0 are a float16 scale and 32 whole numbers; from float16 small values would be gone before."""
    require_llama_cpp()
    llama.write()
    weight = llama.weights["model.layers.0.mlp.up_proj.weight"]
    weight *= np.float32(2**-17)
    converted(llama, target, "q8_0")
    tensor = next(tensor for tensor in read_gguf(target).tensors if tensor.name == "blk.0.ffn_up.weight")
    raw = target.read_bytes()[tensor.offset : tensor.offset + tensor.size]
    blocks = np.frombuffer(raw, np.dtype([("scale", "<f2"), ("numbers", "i1", 32)]))
    numbers = blocks["numbers"].astype("f4").reshape(weight.shape)
    scales = np.abs(weight.reshape(-1, 32)).max(axis=1, keepdims=True) / 127

    def off(values: Array) -> float:
        return float(np.abs(numbers.reshape(-1, 32) - values.reshape(-1, 32) / scales).max())

    assert off(weight) < 0.501
    assert off(weight.astype("f2").astype("f4")) > 1


def test_progress_goes_through_both_stages(llama: LlamaCheckpoint, target: Path) -> None:
    require_llama_cpp()
    seen: list[tuple[str, int, int]] = []
    convert(find_checkpoint(str(llama.write().folder), "model"), target, "q4_k_m", lambda *done: seen.append(done))
    assert [stage for stage, done, total in seen if done == total] == ["write", "quantize"]
    assert [done for stage, done, _ in seen if stage == "quantize"] == list(range(1, len(llama.weights) + 1))


def test_llama_cpps_log_does_not_reach_the_terminal(
    llama: LlamaCheckpoint, target: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    require_llama_cpp()
    converted(llama, target, "q4_k_m")
    assert capfd.readouterr() == ("", "")


# --- whole or not there ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.bin", "x", "missing/x.gguf"])
def test_a_name_that_is_none_is_refused(llama: LlamaCheckpoint, target: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"ends in \.gguf|no such folder"):
        converted(llama, target.parent / name, "f16")
    assert left(target) == []


@pytest.mark.parametrize("kind", ["file", "dangling link", "folder"])
def test_a_target_that_exists_stays_as_it_is(llama: LlamaCheckpoint, target: Path, kind: str) -> None:
    if kind == "file":
        target.write_bytes(b"mine")
    elif kind == "folder":
        target.mkdir()
    else:
        target.symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"x\.gguf already exists; delete it, or choose another name"):
        converted(llama, target, "f16")
    assert left(target) == ["x.gguf"]
    assert not target.is_file() or target.read_bytes() == b"mine"


def test_a_target_that_appears_meanwhile_stays_as_it_is(llama: LlamaCheckpoint, target: Path) -> None:
    checkpoint = find_checkpoint(str(llama.write().folder), "model")

    def appear(stage: str, done: int, total: int) -> None:
        target.write_bytes(b"mine")

    with pytest.raises(UsageError, match="already exists"):
        convert(checkpoint, target, "f16", appear)
    assert left(target) == ["x.gguf"]
    assert target.read_bytes() == b"mine"


@pytest.mark.parametrize("stage", ["write", "quantize"])
def test_nothing_is_left_of_a_conversion_that_is_stopped(llama: LlamaCheckpoint, target: Path, stage: str) -> None:
    require_llama_cpp()
    seen = []

    def stop(at: str, done: int, total: int) -> None:
        if at == stage and done > total / 2:
            seen.extend(left(target))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(find_checkpoint(str(llama.write().folder), "model"), target, "q4_k_m", stop)
    assert seen == [".x.gguf.part", ".x.unquantized.gguf.part"][-1 if stage == "write" else 0 :]
    assert left(target) == []


@pytest.fixture
def file_limit() -> Iterator[None]:
    """No file may grow beyond 600 kB, here and in child processes: the disk is full, but with another error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_nothing_is_left_where_the_file_cannot_grow(
    llama: LlamaCheckpoint, target: Path, request: pytest.FixtureRequest
) -> None:
    llama.write()
    request.getfixturevalue("file_limit")
    checkpoint = find_checkpoint(str(llama.folder), "model")
    with pytest.raises(MachineError, match=r"out/x\.gguf: cannot be written: File too large"):
        convert(checkpoint, target, "f32", lambda *done: None)
    assert left(target) == []


def test_llama_cpp_that_cannot_write_is_told_as_any_other_writer(
    llama: LlamaCheckpoint, target: Path, request: pytest.FixtureRequest
) -> None:
    require_llama_cpp()
    source = target.with_name("source.gguf")
    write_gguf(find_checkpoint(str(llama.write().folder), "model"), source, None, lambda *done: None)
    request.getfixturevalue("file_limit")
    with pytest.raises(OSError, match="File too large"):
        quantize(source, target, "q8_0", lambda *done: None)
    assert left(target) == ["source.gguf"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a file system can only be mounted by root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("used", range(0, 2**21, 2**18))
def test_a_full_disk_is_one_line_and_leaves_nothing(llama: LlamaCheckpoint, disk: Path, used: int) -> None:
    """2.1 MB without loss, and 1.1 MB more for q8_0 (the checkpoint is 2.1 MB)."""
    require_llama_cpp()
    llama.config["intermediate_size"] = 256
    (disk / "others").write_bytes(bytes(used))
    with pytest.raises(MachineError) as error:
        converted(llama, disk / "x.gguf", "q8_0")
    assert error.value.lines() == [f"{disk}/x.gguf: cannot be written: the disk is full"]
    assert left(disk / "x.gguf") == ["others"]


def test_what_llama_cpp_says_last_is_in_the_error(tmp_path: Path) -> None:
    require_llama_cpp()
    (tmp_path / "source.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(
        MachineError, match=r"llama\.cpp cannot quantize the model as q4_k_m: .*failed to quantize: "
    ) as error:
        quantize(tmp_path / "source.gguf", tmp_path / "x.gguf", "q4_k_m", lambda *done: None)
    assert len(error.value.lines()) == 1
    assert "\n" not in str(error.value)
    assert not (tmp_path / "x.gguf").exists()


def test_a_library_that_does_not_load_is_one_line(
    llama: LlamaCheckpoint, target: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "modules" / "llama_cpp"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise OSError('libllama.so: cannot open shared object file')")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "modules"), *sys.path])
    with pytest.raises(MachineError, match=r"llama-cpp-python does not load: libllama\.so: cannot open"):
        converted(llama, target, "q8_0")
    assert left(target) == []


def test_a_child_that_is_killed_is_one_line(
    llama: LlamaCheckpoint, target: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "modules" / "llama_cpp"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "modules"), *sys.path])
    with pytest.raises(MachineError, match="as q8_0: it exited with status -9"):
        converted(llama, target, "q8_0")
    assert left(target) == []


def test_without_the_extra_one_line_says_how_to_install_it(
    llama: LlamaCheckpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maya_batch.checkpoint.gguf_quantize.find_spec", lambda name: None)
    with pytest.raises(MachineError, match=r"llama-cpp-python is not installed; run `.*\[gguf\].*`.* C\+\+ compiler"):
        converted(llama, target, "q8_0")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MachineError, match=r"gguf is not installed; run `.*\[gguf\].*`.* C\+\+ compiler and cmake"):
        converted(llama, target, "f16")
    assert left(target) == []


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_llama_cpp_works_ends_both_processes_and_leaves_nothing(target: Path, sent: int) -> None:
    require_llama_cpp()
    run = started(target)
    time.sleep(0.05)
    run.send_signal(sent)
    assert run.communicate(timeout=60) == ("", "stopped\n")
    assert run.returncode == 4
    assert left(target) == []
    assert children_of(target) == []


def test_a_conversion_that_was_killed_is_made_again_by_the_same_command(target: Path) -> None:
    require_llama_cpp()
    run = started(target)
    run.kill()
    run.communicate(timeout=60)
    end = time.monotonic() + 30
    while children_of(target) and time.monotonic() < end:
        time.sleep(0.05)
    assert children_of(target) == []
    assert not target.exists()
    again = subprocess.run(command(target), capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (0, "")
    assert left(target) == ["x.gguf"]


def command(target: Path) -> list[str]:
    return [sys.executable, "-m", "maya_batch", "convert", DEMO, "-o", str(target), "--type", "q4_k_m"]


def started(target: Path) -> "subprocess.Popen[str]":
    """The command, whose child process has begun."""
    run = subprocess.Popen(command(target), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not children_of(target):
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    return run


def children_of(target: Path) -> list[int]:
    """The processes that quantize into this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:  # it has ended
            continue
        if b"gguf_quantize" in line and os.fsencode(target.parent) in line:
            found.append(int(path.parent.name))
    return found
