"""The products that the kernel for 4-bit weights computes, in plain PyTorch."""

from collections.abc import Sequence
from typing import Any

import torch
from bitsandbytes.functional import dequantize_4bit
from torch.nn import functional

from maya_batch.engine.kernels.int8_tokens import BLOCK, COUNTS, dequantized, quantized
from maya_batch.engine.kernels.operations import TorchOperations
from maya_batch.engine.kernels.products import Product


class Int8Operations(TorchOperations):
    """Operations on projections in nf4 whose levels are in 8 bits, as the tokens are; sums are in float32."""

    def projection(self, modules: Sequence[Any]) -> Product:
        """The product with the modules' weights."""
        levels = []
        for module in modules:
            state = module.weight.quant_state
            assert not state.nested
            scales = (state.absmax / 127).repeat_interleave(state.blocksize).view(state.shape)
            levels.append((dequantize_4bit(module.weight.data, state).float() / scales).round() * scales)
        weight = torch.cat(levels)

        def product(tokens: torch.Tensor) -> torch.Tensor:
            # The demo voice's width leaves half a block, which the kernel does not take.
            filled = functional.pad(tokens, (0, -tokens.shape[1] % BLOCK))
            parts = [filled[at : at + COUNTS[-1]] for at in range(0, len(filled), COUNTS[-1])]
            whole = torch.cat([dequantized(quantized(part)) for part in parts])[:, : tokens.shape[1]]
            return (whole @ weight.T).to(tokens.dtype)

        return product
