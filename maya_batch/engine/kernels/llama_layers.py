"""A Llama's layers as decoding wants them: few large products, and attention left to the caller.

The weights stay transformers' own. Where they are plain matrices, those that multiply the same input are laid out one
behind the other and the model's modules keep views of them, so nothing is held twice; quantized ones are called as
they are, unless the caller knows better.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from torch.nn import functional
from transformers import LlamaForCausalLM, PreTrainedModel

from maya_batch.errors import MachineError

#: A module of transformers or bitsandbytes, which have no types.
_Module: TypeAlias = Any

#: From a layer's number and [tokens, (heads + 2 kv heads) * head_dim] to [tokens, heads * head_dim].
Attend = Callable[[int, torch.Tensor], torch.Tensor]

#: From gate and up [tokens, 2 * intermediate] to silu(gate) * up [tokens, intermediate].
Gate = Callable[[torch.Tensor], torch.Tensor]

#: From tokens [tokens, width], and what is to be added to their product, if anything, to that product.
Product = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]

#: From projections that multiply the same input to their products, beside each other.
Products = Callable[[Sequence[_Module]], Product]


def each(modules: Sequence[_Module]) -> Product:
    """The products as the modules make them, one after the other."""

    def product(tokens: torch.Tensor, residual: torch.Tensor | None) -> torch.Tensor:
        made = [module(tokens) for module in modules]
        beside = made[0] if len(made) == 1 else torch.cat(made, dim=-1)
        return beside if residual is None else residual + beside

    return product


class Llama:
    """The layers of a loaded model."""

    def __init__(self, model: PreTrainedModel, gate: Gate | None = None, quantized: Products = each) -> None:
        """`gate` is a faster form of silu(gate) * up, where there is one; `quantized` makes products of what is no
        plain matrix.

        Raises:
            MachineError: the model is none of Llama's form.
        """
        config = model.config
        head = model.get_output_embeddings()
        if not isinstance(model, LlamaForCausalLM) or config.hidden_act != "silu" or head.bias is not None:
            raise MachineError(f"a model of type {config.model_type} is no Llama, which Maya1 is; fetch it again")
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = int(getattr(config, "head_dim", None) or config.hidden_size // self.heads)
        self.dtype: torch.dtype = model.get_input_embeddings().weight.dtype
        self.widths = (
            config.hidden_size,
            (self.heads + 2 * self.kv_heads) * self.head_dim,
            2 * config.intermediate_size,
        )
        """Numbers a token has between layers, as query, key and value, and as gate and up."""
        self.head: torch.Tensor = head.weight
        """The output embedding [vocabulary, hidden]."""
        self._embedding, self._rotary = model.get_input_embeddings(), model.model.rotary_emb
        self._norm = model.model.norm
        self.layer_bytes = sum(part.numel() * part.element_size() for part in model.model.layers.parameters())
        """What a step has to read of the weights; the codes of a slot, a two-hundredth of it, not counted."""
        self._layers = [_Layer(layer, gate or _gate, quantized) for layer in model.model.layers]

    @property
    def position_bytes(self) -> int:
        """Keys and values of one position of one row, in all layers."""
        return 2 * self.layers * int(self.kv_heads) * self.head_dim * int(self.dtype.itemsize)

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return len(self._layers)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids [tokens] as [tokens, hidden]."""
        hidden: torch.Tensor = self._embedding(ids)
        return hidden

    def rotary(self, positions: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosine and sine [positions, head_dim] of every position's angles, in the model's format."""
        ids = torch.arange(positions, device=self.head.device).unsqueeze(0)
        cos, sin = self._rotary(torch.empty(0, dtype=self.dtype, device=self.head.device), ids)
        return cos[0].contiguous(), sin[0].contiguous()

    def forward(self, hidden: torch.Tensor, attend: Attend) -> torch.Tensor:
        """Embedded tokens [tokens, hidden] through all layers and the last norm."""
        for number, layer in enumerate(self._layers):
            hidden = layer.forward(hidden, partial(attend, number))
        return _rms(hidden, self._norm)


class _Layer:
    """One decoder layer."""

    def __init__(self, layer: _Module, gate: Gate, quantized: Products) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self._before, self._after, self._gate = layer.input_layernorm, layer.post_attention_layernorm, gate
        self._qkv = _side_by_side([attention.q_proj, attention.k_proj, attention.v_proj], quantized)
        self._gate_up = _side_by_side([mlp.gate_proj, mlp.up_proj], quantized)
        self._o, self._down = _onto(attention.o_proj, quantized), _onto(mlp.down_proj, quantized)

    def forward(self, hidden: torch.Tensor, attend: Gate) -> torch.Tensor:
        """Tokens [tokens, hidden] through the layer."""
        hidden = self._o(attend(self._qkv(_rms(hidden, self._before))), hidden)
        return self._down(self._gate(self._gate_up(_rms(hidden, self._after))), hidden)


def _side_by_side(modules: Sequence[_Module], quantized: Products) -> Gate:
    """The products of one input with several projections, beside each other."""
    if not all(_is_plain(module) for module in modules):
        product = quantized(modules)
        return lambda tokens: product(tokens, None)
    weight = torch.cat([module.weight.data for module in modules])
    start = 0
    for module in modules:
        rows = module.weight.shape[0]
        module.weight.data = weight[start : start + rows]
        start += rows
    return lambda tokens: functional.linear(tokens, weight)


def _onto(module: _Module, quantized: Products) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A projection of the first input, added to the second."""
    if not _is_plain(module):
        return quantized([module])
    weight = module.weight.data.t()
    return lambda tokens, residual: torch.addmm(residual, tokens, weight)


def _is_plain(module: _Module) -> bool:
    """Whether a projection is one matrix in memory: not quantized, and without a bias."""
    return type(module) is torch.nn.Linear and module.bias is None


def _rms(tokens: torch.Tensor, norm: _Module) -> torch.Tensor:
    return functional.rms_norm(tokens, (tokens.shape[-1],), norm.weight, norm.variance_epsilon)


def _gate(gate_up: torch.Tensor) -> torch.Tensor:
    gate, up = gate_up.chunk(2, dim=-1)
    return functional.silu(gate) * up
