"""Which layers a GPU gets: with all kernels, without that for 4-bit weights, or none."""

import logging
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from maya_batch.engine.kernels.operations import TorchOperations
from maya_batch.engine.kernels.selection import gpu_kernel_layers

Compiles = Callable[..., None]


def succeeds(*asked: object) -> None:
    pass


def fails(*asked: object) -> None:
    raise RuntimeError("no compiler\nand more")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> LlamaForCausalLM:
    """A model that says it lies on a GPU, and whose attention is no plain matrix."""
    monkeypatch.setattr(LlamaForCausalLM, "device", torch.device("cuda", 0))
    sizes = {"vocab_size": 32, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1}
    return LlamaForCausalLM(
        LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2, attention_bias=True)
    ).bfloat16()


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Callable[[Compiles, Compiles, bool], list[str]]:
    """Have modules in place of the kernels' own, which need Triton; what is taken of them is told."""

    def install(compile_kernels: Compiles, compile_4_bit: Compiles, packed: bool) -> list[str]:
        used: list[str] = []

        class GpuOperations(TorchOperations):
            name = "plain"

            def gate(self, gate_up: torch.Tensor) -> torch.Tensor:
                used.append(self.name)
                return super().gate(gate_up)

        class Nf4Operations(GpuOperations):
            name = "4-bit"

        package = "maya_batch.engine.kernels"
        fakes = {name: SimpleNamespace(compile_for=compile_kernels) for name in ("triton_kernels", "row_kernels")}
        fakes["prompt_kernel"] = fakes["int8_attention"] = fakes["draw_kernel"] = SimpleNamespace(compile_for=succeeds)
        operations = {"GpuOperations": GpuOperations, "Nf4Operations": Nf4Operations, "Fp8Operations": None}
        fakes["gpu_operations"] = SimpleNamespace(**operations)
        fakes["nf4_matmul"] = SimpleNamespace(compile_for=compile_4_bit, can_multiply=lambda model: packed)
        for name, fake in fakes.items():
            monkeypatch.setitem(sys.modules, f"{package}.{name}", fake)
            monkeypatch.setattr(sys.modules[package], name, fake, raising=False)
        return used

    return install


def attends(layer: int, qkv: torch.Tensor) -> torch.Tensor:
    return qkv[:, :64]


@pytest.mark.parametrize(
    ("compile_4_bit", "packed", "wanted", "said"),
    [
        (succeeds, True, ["4-bit"], []),
        (fails, False, ["plain"], []),
        (
            fails,
            True,
            ["plain"],
            ["the GPU kernel for 4-bit weights does not compile (no compiler): rendering is slower"],
        ),
    ],
)
def test_what_compiles_is_used(
    compile_4_bit: Compiles,
    packed: bool,
    wanted: list[str],
    said: list[str],
    model: LlamaForCausalLM,
    kernels: Callable[..., list[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    used = kernels(succeeds, compile_4_bit, packed)
    llama = gpu_kernel_layers(model)
    assert llama is not None
    with torch.inference_mode():
        llama.forward(torch.zeros(2, 64, dtype=torch.bfloat16), attends)
    assert used == wanted
    assert caplog.messages == said


def test_without_the_kernels_there_is_nothing_fast(
    model: LlamaForCausalLM, kernels: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    kernels(fails, succeeds, False)
    assert gpu_kernel_layers(model) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert caplog.messages[0].startswith("the GPU kernels do not compile (no compiler): rendering is slower; install")


def test_more_query_heads_than_a_kernel_has_rows_are_left_to_pytorch(
    model: LlamaForCausalLM, kernels: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    kernels(succeeds, succeeds, False)
    model.config.num_attention_heads = 17 * model.config.num_key_value_heads
    assert gpu_kernel_layers(model) is None
    assert caplog.messages == ["the GPU kernels take 16 query heads a key head at most: rendering is slower"]


def test_what_is_not_on_a_gpu_or_not_of_16_bits_needs_no_kernels(
    model: LlamaForCausalLM, kernels: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels(fails, fails, False)
    assert gpu_kernel_layers(model.float()) is None
    monkeypatch.setattr(LlamaForCausalLM, "device", torch.device("cpu"))
    assert gpu_kernel_layers(model.bfloat16()) is None
