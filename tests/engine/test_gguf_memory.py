"""What fits into the memory is planned from the numbers of a file alone; and which device llama.cpp is told to use."""

from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maya_batch.checkpoint.gguf_config import GgufConfig
from maya_batch.checkpoint.gguf_file import GgufFile, GgufTensor
from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.batch_budget import SequenceNeed
from maya_batch.engine.ggml_devices import GgmlDevice, choose_ggml_device
from maya_batch.engine.gguf_memory import context_bytes, layers_on_gpu, plan_context, position_bytes
from maya_batch.engine.host_memory import usable_memory
from maya_batch.engine.llama_library import LlamaLibrary
from maya_batch.engine.llama_model import MOST_SEQUENCES, ContextSize
from maya_batch.errors import MachineError

GIB = 2**30
#: Maya1 in Q4_K_M: 2 GB of weights.
MAYA1 = GgufConfig(
    hidden=3072,
    layers=28,
    heads=24,
    kv_heads=8,
    head_dim=128,
    intermediate=8192,
    vocabulary=156_940,
    context=131_072,
    file_type="q4_k_m",
    weight_bytes=2_087_000_000,
)
LAYER, EMBEDDING = 60_000_000, 395_000_000
FILE = GgufFile(
    Path("maya1.gguf"),
    {},
    (
        GgufTensor("token_embd.weight", "Q6_K", (3072, 156_940), 0, EMBEDDING),
        *(GgufTensor(f"blk.{number}.ffn_down.weight", "Q4_K", (8192, 3072), 0, LAYER) for number in range(28)),
    ),
    {},
)
NEED = SequenceNeed(prompt_tokens=100, max_frames=400, expected_frames=250)


def test_a_position_takes_the_keys_and_values_of_all_layers() -> None:
    assert position_bytes(MAYA1, exact=False) == 2 * 28 * 8 * 128 * 2
    assert position_bytes(MAYA1, exact=True) == 2 * position_bytes(MAYA1, exact=False)


@given(
    available=st.integers(GIB, 64 * GIB),
    count=st.integers(1, 400),
    batch_size=st.integers(1, 400),
    frames=st.integers(4, 500),
)
def test_a_context_fits_holds_the_longest_sequence_and_one_more_would_not_fit(
    available: int, count: int, batch_size: int, frames: int
) -> None:
    needs = [NEED] * (count - 1) + [SequenceNeed(80, frames, frames)]
    size = plan_context(MAYA1, needs, batch_size, available, exact=False)
    assert context_bytes(MAYA1, size) <= available
    assert size.positions % 256 == 0
    assert size.positions >= max(need.prompt_tokens + (need.max_frames + 1) * SLOTS for need in needs)
    wanted = min(max(min(count, batch_size), 2), MOST_SEQUENCES)
    assert 2 <= size.sequences <= wanted
    more = ContextSize(size.sequences + 1, size.positions, exact=False)
    assert size.sequences == wanted or context_bytes(MAYA1, more) > available


def test_memory_for_not_even_one_sequence_is_an_error() -> None:
    with pytest.raises(MachineError, match=r"one sequence of 3072 tokens \(0\.1 GiB are free\)"):
        plan_context(MAYA1, [NEED], 16, GIB // 10, exact=False)


def test_as_many_layers_go_to_the_gpu_as_fit_with_their_caches() -> None:
    fitting = [layers_on_gpu(FILE, MAYA1, gibibytes * GIB // 4) for gibibytes in range(0, 33)]
    assert fitting[0] == 0
    assert fitting == sorted(fitting)
    assert fitting[-1] == 29  # all, and the output embedding
    assert 0 < layers_on_gpu(FILE, MAYA1, 3 * GIB) < 28  # a part of them on a card of 4 GB
    assert layers_on_gpu(FILE, MAYA1, 6 * GIB) == 29
    used = next(layers for layers in fitting if 0 < layers < 28)
    free = fitting.index(used) * GIB // 4
    assert used * LAYER < free


def test_the_memory_of_this_machine_is_known() -> None:
    assert 2**20 < usable_memory() < 2**50


CPU = GgmlDevice("CPU", "a processor", False, GIB, GIB)
GPUS = [GgmlDevice(f"CUDA{number}", f"card {number}", True, GIB, GIB) for number in range(2)]


@pytest.mark.parametrize(
    ("devices", "name", "wanted"),
    [
        ([CPU], "auto", None),
        ([CPU], "cpu", None),
        ([*GPUS, CPU], "cpu", None),
        ([*GPUS, CPU], "auto", (0, GPUS[0])),
        ([*GPUS, CPU], "cuda", (0, GPUS[0])),
        ([CPU, *GPUS], "cuda:1", (1, GPUS[1])),
    ],
)
def test_the_device_asked_for_is_taken(
    devices: list[GgmlDevice],
    name: str,
    wanted: tuple[int, GgmlDevice] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("maya_batch.engine.ggml_devices.ggml_devices", lambda library: devices)
    assert choose_ggml_device(cast(LlamaLibrary, None), name) == wanted


@pytest.mark.parametrize(
    ("devices", "name", "why"),
    [([*GPUS, CPU], "cuda:2", "it sees 2"), ([CPU], "cuda", r"compile it for one with `CMAKE_ARGS=-DGGML_CUDA=on ")],
)
def test_a_gpu_that_llama_cpp_does_not_see_is_an_error(
    devices: list[GgmlDevice], name: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maya_batch.engine.ggml_devices.ggml_devices", lambda library: devices)
    monkeypatch.setattr("maya_batch.messages.install_hint.version", lambda package: "1.0")
    with pytest.raises(MachineError, match=f"device {name}: .* no such GPU; {why}"):
        choose_ggml_device(cast(LlamaLibrary, None), name)
