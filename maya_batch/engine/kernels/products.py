"""The products of tokens with a model's projections."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch.nn import functional

#: From tokens [tokens, width] to their product.
Product: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


def concatenated_product(modules: Sequence[Any]) -> Product:
    """The product with projections that are plain matrices; others multiply one after the other.

    The matrices are concatenated, and the model's modules keep views of them, so memory holds them once.
    """
    if not all(is_plain(module) for module in modules):
        return separate_products(modules)
    weight = torch.cat([module.weight.data for module in modules])
    start = 0
    for module in modules:
        end = start + module.weight.shape[0]
        module.weight.data = weight[start:end]
        start = end
    return lambda tokens: functional.linear(tokens, weight)


def separate_products(modules: Sequence[Any]) -> Product:
    """The product with each module, one after the other."""

    def product(tokens: torch.Tensor) -> torch.Tensor:
        products = [module(tokens) for module in modules]
        return products[0] if len(products) == 1 else torch.cat(products, dim=-1)

    return product


def is_plain(module: Any) -> bool:
    """Whether a projection is one plain matrix: not quantized, and without a bias."""
    return type(module) is torch.nn.Linear and module.bias is None
