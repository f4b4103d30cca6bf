import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maya_batch.engine.kernels.int8_numbers import dequantized, quantized

SIZE = 16

vectors = st.lists(st.floats(-1, 1, width=32), min_size=SIZE, max_size=SIZE).map(torch.tensor)


@given(vector=vectors, magnitude=st.floats(1e-3, 1e4))
def test_a_number_is_off_by_half_a_step_at_most(vector: torch.Tensor, magnitude: float) -> None:
    numbers = vector * magnitude
    whole, scales = quantized(numbers)
    assert whole.dtype == torch.int8
    assert int(whole.abs().max()) <= 127
    largest = float(numbers.abs().max())
    # The largest number can be clamped by the rounding of the scale to float16, a two-thousandth.
    allowed = 0.51 * float(scales) + largest / 2000 + 4e-6
    assert float((dequantized(whole, scales, torch.float32) - numbers).abs().max()) <= allowed


def test_vectors_have_scales_for_themselves() -> None:
    numbers = torch.randn(3, 5, SIZE) * torch.tensor([1e-2, 1.0, 300.0]).view(3, 1, 1)
    whole, scales = quantized(numbers)
    assert whole.shape == numbers.shape
    assert scales.shape == numbers.shape[:-1]
    made = dequantized(whole, scales, torch.float32)
    error = (made - numbers).norm(dim=-1) / numbers.norm(dim=-1)
    assert float(error.max()) < 0.01


@pytest.mark.parametrize("number", [0.0, 1e-9, -1e-30])
def test_numbers_too_small_for_a_scale_become_zeros(number: float) -> None:
    whole, scales = quantized(torch.full((2, SIZE), number))
    assert not whole.any()
    assert not scales.any()
    assert torch.equal(dequantized(whole, scales, torch.bfloat16), torch.zeros(2, SIZE, dtype=torch.bfloat16))


def test_rounding_again_changes_nothing() -> None:
    whole, scales = quantized(torch.randn(50, SIZE))
    again, new_scales = quantized(dequantized(whole, scales, torch.float32))
    assert torch.equal(again, whole)
    torch.testing.assert_close(new_scales, scales, rtol=1e-3, atol=0)
