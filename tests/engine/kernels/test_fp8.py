"""Weights in FP8, on a CPU, where products of the rounded numbers are in float32. The GPU's are tested in tests/gpu."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from maya_batch.engine.hf_loader import load_hf_engine
from maya_batch.engine.kernels.fp8_linear import Fp8Linear, joined, quantize
from maya_batch.engine.kernels.fp8_numbers import LARGEST, dequantized, quantized
from maya_batch.engine.kernels.llama_layers import LlamaLayers
from maya_batch.errors import UsageError
from tests.engine.kernels.test_llama_layers import ours, theirs
from tests.support.demo import CHECKPOINT


def test_a_number_is_rounded_by_a_sixteenth_of_it_at_most() -> None:
    torch.manual_seed(0)
    rows = torch.randn(50, 400) * torch.logspace(-6, 6, 50).unsqueeze(1)
    values, scales = quantized(rows)
    assert (values.dtype, scales.shape) == (torch.float8_e4m3fn, (50,))
    off = (dequantized(values, scales) - rows).abs()
    # Numbers below a 28,000th of the largest have fewer bits.
    assert (off <= rows.abs() / 16 + rows.abs().amax(dim=1, keepdim=True) / 28_000).all()
    assert values.float().abs().amax(dim=1).tolist() == [LARGEST] * 50


def test_a_row_of_zeros_stays_one() -> None:
    values, scales = quantized(torch.tensor([[0.0, 0.0], [0.0, -2.0]]))
    assert dequantized(values, scales).tolist() == [[0.0, 0.0], [0.0, -2.0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_is_that_of_the_rounded_numbers(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    weight, tokens = torch.randn(48, 64), torch.randn(2, 5, 64).to(dtype)
    module = Fp8Linear(*quantized(weight))
    product = module(tokens)
    assert (product.dtype, product.shape) == (dtype, (2, 5, 48))
    expected = dequantized(*quantized(tokens)) @ dequantized(module.weight, module.scales).t()
    torch.testing.assert_close(product.float(), expected, rtol=0.01, atol=0.01)
    exact = tokens.float() @ weight.t()
    assert 0.01 < (product.float() - exact).norm() / exact.norm() < 0.05


def test_joined_projections_are_held_once() -> None:
    torch.manual_seed(0)
    modules = [Fp8Linear(*quantized(torch.randn(outputs, 32))) for outputs in (16, 8, 24)]
    tokens = torch.randn(3, 32)
    before = [module(tokens) for module in modules]
    weight, scales = joined(modules)
    assert (weight.shape, scales.shape) == ((48, 32), (48,))
    assert all(torch.equal(module(tokens), made) for module, made in zip(modules, before, strict=True))
    for part in ("weight", "scales"):
        assert len({getattr(module, part).untyped_storage().data_ptr() for module in modules}) == 1


def test_all_projections_of_a_model_are_rounded_and_nothing_else() -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": 100, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2)).eval()
    exact = theirs(model)
    whole = LlamaLayers(model).layer_bytes
    quantize(model, torch.device("cpu"))
    rounded = [name for name, module in model.named_modules() if isinstance(module, Fp8Linear)]
    assert len(rounded) == 2 * 7
    assert not [name for name, module in model.named_modules() if type(module) is torch.nn.Linear and "layers" in name]
    off = (theirs(model) - exact).norm() / exact.norm()
    assert 0 < off < 0.1
    llama = LlamaLayers(model)
    torch.testing.assert_close(ours(llama), theirs(model), rtol=1e-4, atol=1e-4)
    assert llama.layer_bytes < whole / 3  # of four bytes each


def test_a_machine_without_products_in_fp8_says_what_else_there_is() -> None:
    with pytest.raises(UsageError, match=r"needs an NVIDIA GPU of the RTX 40 series, .*; use nf4, int8 or none"):
        load_hf_engine(CHECKPOINT, device="cpu", dtype="auto", quantization="fp8", batch_size=None)
