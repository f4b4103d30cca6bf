import pytest
import torch

from maya_batch.engine.kernels.int8_tokens import BLOCK, COUNTS, dequantized, quantized


@pytest.mark.parametrize("count", [1, 16, 17, 128])
def test_a_number_is_off_by_at_most_half_a_step_of_its_block(count: int) -> None:
    tokens = torch.randn(count, 3 * BLOCK, generator=torch.Generator().manual_seed(count))
    made = quantized(tokens)
    assert made.values.shape == (min(rows for rows in COUNTS if rows >= count), 3 * BLOCK)
    assert made.scales.shape == (3, len(made.values))
    off = (dequantized(made) - tokens).abs().view(count, 3, BLOCK)
    assert torch.all(off <= tokens.view(count, 3, BLOCK).abs().amax(dim=-1, keepdim=True) / 253.9)


def test_a_large_number_leaves_other_blocks_as_they_are() -> None:
    tokens = torch.randn(2, 2 * BLOCK, generator=torch.Generator().manual_seed(0))
    tokens[0, 7] = 1000
    tokens[1, :BLOCK] = 0
    apart = (dequantized(quantized(tokens)) - tokens).abs()
    assert apart[0, BLOCK:].max() < 0.02 < apart[0, :BLOCK].max()
    assert torch.equal(dequantized(quantized(tokens))[1, :BLOCK], torch.zeros(BLOCK))


def test_the_two_of_a_pair_are_exchanged() -> None:
    tokens = torch.zeros(1, BLOCK)
    tokens[0, :4] = torch.tensor([127.0, 2, 3, 4])
    assert quantized(tokens).values[0, :5].tolist() == [2, 127, 4, 3, 0]
