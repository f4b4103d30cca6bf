"""A layer's operations with the GPU kernels: in the model's format, in 4 bits, and in FP8."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from maya_batch.engine.kernels.fp8_linear import Fp8Linear, joined, unscaled_product
from maya_batch.engine.kernels.int8_tokens import COUNTS, Int8Tokens
from maya_batch.engine.kernels.nf4_matmul import PackedWeight
from maya_batch.engine.kernels.products import Product, concatenated_product, separate_products
from maya_batch.engine.kernels.row_kernels import (
    Fp8Tokens,
    UnscaledProduct,
    add_norm,
    add_norm_fp8,
    add_norm_int8,
    gate_fp8,
    gate_int8,
    rescaled,
    to_fp8,
    to_int8,
)
from maya_batch.engine.kernels.triton_kernels import gate


class GpuOperations:
    """Operations in the model's format."""

    def projection(self, modules: Sequence[Any]) -> Product:
        """The product with the modules' own weights, plain ones at once."""
        return concatenated_product(modules)

    def normalize(
        self, hidden: torch.Tensor, added: torch.Tensor | None, norm: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add, in place, and normalize."""
        return hidden, add_norm(hidden, added, norm)

    def finish(self, hidden: torch.Tensor, added: torch.Tensor | None, norm: Any) -> torch.Tensor:
        """Add and normalize."""
        return add_norm(hidden, added, norm)

    def whole(self, product: torch.Tensor) -> torch.Tensor:
        """The product as it is."""
        return product

    def attended(self, mixed: torch.Tensor) -> torch.Tensor:
        """Attention's output as it is."""
        return mixed

    def gate(self, gate_up: torch.Tensor) -> torch.Tensor:
        """silu(gate) * up."""
        return gate(gate_up)


class Nf4Operations:
    """Operations on projections in nf4. The kernel multiplies few tokens, in int8; bitsandbytes multiplies more."""

    def projection(self, modules: Sequence[Any]) -> Callable[[torch.Tensor | Int8Tokens], torch.Tensor]:
        """The product with the modules' weights."""
        weight, by_modules = PackedWeight.of(modules), separate_products(modules)

        def product(tokens: torch.Tensor | Int8Tokens) -> torch.Tensor:
            return weight.times(tokens) if isinstance(tokens, Int8Tokens) else by_modules(tokens)

        return product

    def normalize(
        self, hidden: torch.Tensor, added: torch.Tensor | None, norm: Any
    ) -> tuple[torch.Tensor, torch.Tensor | Int8Tokens]:
        """Add, in place, and normalize."""
        if _are_few(hidden):
            return hidden, add_norm_int8(hidden, added, norm)
        return hidden, add_norm(hidden, added, norm)

    def finish(self, hidden: torch.Tensor, added: torch.Tensor | None, norm: Any) -> torch.Tensor:
        """Add and normalize, in the model's format."""
        return add_norm(hidden, added, norm)

    def whole(self, product: torch.Tensor) -> torch.Tensor:
        """The product as it is."""
        return product

    def attended(self, mixed: torch.Tensor) -> torch.Tensor | Int8Tokens:
        """Attention's output."""
        return to_int8(mixed) if _are_few(mixed) else mixed

    def gate(self, gate_up: torch.Tensor) -> torch.Tensor | Int8Tokens:
        """silu(gate) * up."""
        return gate_int8(gate_up) if _are_few(gate_up) else gate(gate_up)


class Fp8Operations:
    """Operations on projections in FP8, whose tokens are rounded to FP8, too."""

    def projection(self, modules: Sequence[Fp8Linear]) -> Callable[[Fp8Tokens], UnscaledProduct]:
        """The product with the modules' weights."""
        weight, column_scales = joined(modules)
        one = torch.ones((), device=weight.device)

        def product(tokens: Fp8Tokens) -> UnscaledProduct:
            values = unscaled_product(tokens.values, weight, torch.bfloat16, one)
            return UnscaledProduct(values, tokens.scales, column_scales)

        return product

    def normalize(
        self, hidden: torch.Tensor, added: UnscaledProduct | None, norm: Any
    ) -> tuple[torch.Tensor, Fp8Tokens]:
        """Add, in place, and normalize."""
        return hidden, add_norm_fp8(hidden, added, norm)

    def finish(self, hidden: torch.Tensor, added: UnscaledProduct | None, norm: Any) -> torch.Tensor:
        """Add and normalize, in the model's format."""
        return add_norm(hidden, added, norm)

    def whole(self, product: UnscaledProduct) -> torch.Tensor:
        """The product with its scales."""
        return rescaled(product)

    def attended(self, mixed: torch.Tensor) -> Fp8Tokens:
        """Attention's output in FP8."""
        return to_fp8(mixed)

    def gate(self, gate_up: UnscaledProduct) -> Fp8Tokens:
        """silu(gate) * up in FP8."""
        return gate_fp8(gate_up)


def _are_few(tokens: torch.Tensor) -> bool:
    """Whether the kernel for 4-bit weights multiplies so many tokens."""
    return len(tokens) <= COUNTS[-1]
