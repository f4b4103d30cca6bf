"""What a layer computes besides attention, and how: in PyTorch, with the GPU kernels, or in FP8."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch.nn import functional

from maya_batch.engine.kernels.products import Product, concatenated_product

#: The most query heads of a key head that the GPU kernels take: the rows of a tile. Maya1 has 3.
MOST_QUERY_HEADS = 16


class Operations(Protocol):
    """The operations of a layer. Tokens and products have the types that they pass to each other.

    Hidden tokens are [tokens, hidden]; normalizing may change them in place.
    """

    def projection(self, modules: Sequence[Any]) -> Callable[[Any], Any]:
        """The concatenated product of tokens with these projections."""

    def normalize(self, hidden: torch.Tensor, added: Any, norm: Any) -> tuple[torch.Tensor, Any]:
        """Hidden tokens with the last product added, if there is one, and the tokens that their norm is."""

    def finish(self, hidden: torch.Tensor, added: Any, norm: Any) -> torch.Tensor:
        """The norm after the last layer."""

    def whole(self, product: Any) -> torch.Tensor:
        """A product, as attention reads it."""

    def attended(self, mixed: torch.Tensor) -> Any:
        """Attention's output, as the next projection reads it."""

    def gate(self, gate_up: Any) -> Any:
        """silu(gate) * up [tokens, intermediate] of gate and up [tokens, 2 * intermediate]."""


class TorchOperations:
    """PyTorch's own operations."""

    def projection(self, modules: Sequence[Any]) -> Product:
        """The product with the modules' own weights, plain ones at once."""
        return concatenated_product(modules)

    def normalize(
        self, hidden: torch.Tensor, added: torch.Tensor | None, norm: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add and normalize."""
        hidden = hidden if added is None else hidden + added
        return hidden, functional.rms_norm(hidden, (hidden.shape[-1],), norm.weight, norm.variance_epsilon)

    def finish(self, hidden: torch.Tensor, added: torch.Tensor | None, norm: Any) -> torch.Tensor:
        """Add and normalize."""
        return self.normalize(hidden, added, norm)[1]

    def whole(self, product: torch.Tensor) -> torch.Tensor:
        """The product as it is."""
        return product

    def attended(self, mixed: torch.Tensor) -> torch.Tensor:
        """Attention's output as it is."""
        return mixed

    def gate(self, gate_up: torch.Tensor) -> torch.Tensor:
        """silu(gate) * up."""
        gate, up = gate_up.chunk(2, dim=-1)
        return functional.silu(gate) * up
