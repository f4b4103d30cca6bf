import builtins
import re
import shlex
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from maya_batch.checkpoint.locate import MAYA1, SNAC_24KHZ, Kind, find_checkpoint
from maya_batch.cli.doctor import Check, _features, _kernels, _llama_cpp, checks
from maya_batch.errors import MachineError
from maya_batch.messages.install_hint import install_hint
from tests.conftest import Said
from tests.support.llama_checkpoint import require_llama_cpp

pytestmark = pytest.mark.slow

NAMES = ["Python", "disk", "ffmpeg", "torch", "CUDA", "4-bit on cpu"]
LLAMA_CPP = "llama.cpp"


@pytest.fixture(scope="module")
def found() -> dict[str, Check]:
    return {check.name: check for check in checks()}


def checked() -> dict[str, Check]:
    return {check.name: check for check in checks()}


def test_every_part_of_the_machine_is_looked_at(found: dict[str, Check]) -> None:
    names = [*NAMES, *(["4-bit on cuda"] if torch.cuda.is_available() else [])]
    assert list(found) == [
        *names,
        LLAMA_CPP,
        "model demo",
        "codec demo",
        f"model {MAYA1}",
        f"codec {SNAC_24KHZ}",
        "recognizer",
    ]


def test_a_machine_that_runs_these_tests_can_render(found: dict[str, Check]) -> None:
    assert [name for name, check in found.items() if check.needed and not check.ok] == []
    assert [name for name, check in found.items() if check.needed] == [
        *["Python", "disk", "ffmpeg", "torch"],
        *["model demo", "codec demo"],
    ]


def test_each_check_says_what_it_saw(found: dict[str, Check]) -> None:
    assert f"torch {torch.__version__}" in found["torch"].seen
    assert found["ffmpeg"].seen.endswith(", with MP3")
    assert found["disk"].seen.endswith(" GiB free here")
    assert found["model demo"].seen.endswith(" MiB")
    assert found["CUDA"].ok == torch.cuda.is_available()
    assert found["4-bit on cpu"].ok
    assert " ran, " in found["4-bit on cpu"].seen


def test_models_that_are_not_there_are_told_with_the_way_to_get_them(hub: object) -> None:
    found = checked()
    maya1 = found[f"model {MAYA1}"]
    assert (maya1.ok, maya1.needed) == (False, False)
    assert f"maya-batch fetch {MAYA1}" in maya1.seen
    assert f"maya-batch fetch {SNAC_24KHZ}" in found[f"codec {SNAC_24KHZ}"].seen


def test_an_ffmpeg_that_is_missing_or_does_not_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise RuntimeError("No ffmpeg exe could be found")

    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", missing)
    assert checked()["ffmpeg"] == Check("ffmpeg", False, "does not run: no ffmpeg found: No ffmpeg exe could be found")
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: "/no/such/ffmpeg")
    assert not checked()["ffmpeg"].ok
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: "/bin/true")
    assert checked()["ffmpeg"] == Check("ffmpeg", False, "/bin/true, without MP3")


def test_four_bit_kernels_that_do_not_load_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    kernels = checked()["4-bit on cpu"]
    assert (kernels.ok, kernels.needed) == (False, False)
    assert "bitsandbytes" in kernels.seen


def test_what_llama_cpp_can_use_is_told() -> None:
    require_llama_cpp()
    check = checked()[LLAMA_CPP]
    assert (check.ok, check.needed) == (not torch.cuda.is_available() or "GPU: none" not in check.seen, False)
    assert re.fullmatch(r"llama-cpp-python [\d.]+, CPU with [A-Z0-9_ ]+, GPU: .+", check.seen)


def test_only_the_features_that_are_on_are_listed() -> None:
    info = b"CUDA : ARCHS = 890 | CPU : SSE3 = 1 | AVX512 = 0 | AVX2 = 1 | OPENMP = 1 | REPACK = 1 | "
    assert _features(info) == "ARCHS SSE3 AVX2 OPENMP REPACK"
    assert _features(b"") == "no special instructions"


def test_a_gpu_that_llama_cpp_cannot_use_is_told_with_the_command_that_builds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require_llama_cpp()
    monkeypatch.setattr("maya_batch.engine.ggml_devices.ggml_devices", lambda library: [])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check = _llama_cpp()
    assert (check.ok, check.needed) == (False, False)
    command = check.seen.partition("; to use the GPU, install the CUDA toolkit and run: ")[2]
    assert command.startswith(f"CMAKE_ARGS=-DGGML_CUDA=on {shlex.quote(sys.executable)} -m pip install ")
    assert re.search(r" --force-reinstall --no-cache-dir --no-deps llama-cpp-python==[\d.]+$", command)


def test_a_gpu_that_has_failed_is_told_and_the_rest_still_looked_at(
    monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Said], hub: object
) -> None:
    def failed(index: int) -> None:
        raise RuntimeError("CUDA error: uncorrectable ECC error\nkernel errors may be told later")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", failed)
    lines = cli("doctor").out.splitlines()
    names = [line[4:].partition(":")[0] for line in lines]
    assert "--  CUDA: CUDA error: uncorrectable ECC error" in lines
    assert {"GPU kernels", "model demo"} < set(names)


def test_on_an_older_gpu_no_4_bit_kernel_is_said_to_have_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (7, 5))
    kernel = next(check for check in _kernels() if check.name == "4-bit GPU kernel")
    assert (kernel.ok, kernel.seen) == (True, "none for this GPU, on which bitsandbytes multiplies")


def test_a_machine_without_llama_cpp_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maya_batch.cli.doctor.find_spec", lambda name: None)
    check = _llama_cpp()
    assert (check.ok, check.needed) == (False, False)
    assert check.seen == f"not installed: {install_hint('gguf')}"


def test_a_torch_that_does_not_load_is_told_and_the_rest_still_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def failing(name: str, *args: Any, **more: Any) -> Any:
        if name == "torch":
            raise OSError("libcudnn.so.9: cannot open shared object file\nand more")
        return plain(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", failing)
    found = checked()
    assert found["torch"] == Check("torch", False, "does not load: libcudnn.so.9: cannot open shared object file")
    assert "CUDA" not in found
    assert "model demo" in found


def test_the_command_prints_a_line_a_check_and_ends_well(cli: Callable[..., Said], hub: object) -> None:
    said = cli("doctor")
    assert said.code == 0
    lines = said.out.splitlines()
    assert [line[:2] for line in lines[:4]] == ["ok", "ok", "ok", "ok"]
    assert any(line.startswith(f"--  model {MAYA1}: ") for line in lines)
    assert said.err == ""


def test_the_command_ends_with_5_where_something_needed_is_lacking(
    cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(name: str, kind: Kind) -> object:
        if kind == "codec":
            raise MachineError("gone")
        return find_checkpoint(name, kind)

    monkeypatch.setattr("maya_batch.cli.doctor.find_checkpoint", none)
    said = cli("doctor")
    assert said.code == 5
    assert "NO  codec demo: gone" in said.out.splitlines()
    assert f"--  codec {SNAC_24KHZ}: gone" in said.out.splitlines()
    assert said.err == "this machine cannot render yet: codec demo\n"
