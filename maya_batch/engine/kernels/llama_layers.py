"""The layers of a Llama model for decoding, with few large products. The caller provides attention.

The weights are transformers' own. Plain matrices that multiply the same input are concatenated, and the model's modules
keep views of them, so memory holds them once. Quantized modules are called unchanged, unless the caller provides a
faster product.
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

#: Attention: from a layer's number and [tokens, (heads + 2 kv heads) * head_dim] to [tokens, heads * head_dim].
Attend = Callable[[int, torch.Tensor], torch.Tensor]

#: From gate and up [tokens, 2 * intermediate] to silu(gate) * up [tokens, intermediate].
Gate = Callable[[torch.Tensor], torch.Tensor]

#: From tokens [tokens, width] and a residual, or None, to their product plus the residual.
Product = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]

#: The most that keys are divided by, as a power of two: float16 holds queries up to 65,504.
_MOST_DOUBLINGS = 6

#: Bytes of the scale of one head's key or value in 8 bits: a float16.
_SCALE_BYTES = 2

#: From projections that multiply the same input to their concatenated product.
Products = Callable[[Sequence[_Module]], Product]


def separate_products(modules: Sequence[_Module]) -> Product:
    """Compute the product of each module, one after the other."""

    def product(tokens: torch.Tensor, residual: torch.Tensor | None) -> torch.Tensor:
        products = [module(tokens) for module in modules]
        joined = products[0] if len(products) == 1 else torch.cat(products, dim=-1)
        return joined if residual is None else residual + joined

    return product


class LlamaLayers:
    """The layers of a loaded model."""

    def __init__(
        self,
        model: PreTrainedModel,
        gate: Gate | None = None,
        quantized: Products = separate_products,
        int8_cache: bool = False,
    ) -> None:
        """`gate` is a faster silu(gate) * up, if there is one. `quantized` makes the products of projections that are
        not plain matrices. With `int8_cache`, keys and values are kept in 8 bits.

        Raises:
            MachineError: the model does not have Maya1's Llama architecture.
        """
        config = model.config
        head = model.get_output_embeddings()
        if not isinstance(model, LlamaForCausalLM) or config.hidden_act != "silu" or head.bias is not None:
            raise MachineError(f"a model of type {config.model_type} lacks Maya1's Llama architecture; fetch it again")
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = int(getattr(config, "head_dim", None) or config.hidden_size // self.heads)
        self.int8_cache = int8_cache
        self.dtype: torch.dtype = model.get_input_embeddings().weight.dtype
        self.widths = (
            config.hidden_size,
            (self.heads + 2 * self.kv_heads) * self.head_dim,
            2 * config.intermediate_size,
        )
        """The sizes of a token between layers, as query, key and value, and as gate and up."""
        self.head: torch.Tensor = head.weight
        """The output embedding [vocabulary, hidden]."""
        self._embedding, self._rotary = model.get_input_embeddings(), model.model.rotary_emb
        self._norm = model.model.norm
        self.layer_bytes = sum(part.numel() * part.element_size() for part in model.model.layers.parameters())
        """Bytes of the weights that a step reads, without those of a slot's codes, which are a two-hundredth."""
        self._layers = [_Layer(layer, gate or _gate, quantized) for layer in model.model.layers]
        for layer in model.model.layers:
            even_keys(layer, self.kv_heads, self.head_dim)

    @property
    def position_bytes(self) -> int:
        """Bytes of the keys and values of one position of one sequence, in all layers, with the scales of 8 bits."""
        of_head = self.head_dim + _SCALE_BYTES if self.int8_cache else self.head_dim * int(self.dtype.itemsize)
        return 2 * self.layers * int(self.kv_heads) * of_head

    @property
    def unpacked_bytes(self) -> int:
        """Bytes that plain attention takes for one position of one sequence: of one layer, out of 8 bits, first in
        float32; 0 with a cache in the model's dtype.
        """
        return 2 * int(self.kv_heads) * self.head_dim * (4 + int(self.dtype.itemsize)) if self.int8_cache else 0

    @property
    def layers(self) -> int:
        """The number of layers."""
        return len(self._layers)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Embed ids [tokens] as [tokens, hidden]."""
        hidden: torch.Tensor = self._embedding(ids)
        return hidden

    def rotary(self, positions: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosine and sine [positions, head_dim] of every position's angles, in the model's dtype."""
        ids = torch.arange(positions, device=self.head.device).unsqueeze(0)
        cos, sin = self._rotary(torch.empty(0, dtype=self.dtype, device=self.head.device), ids)
        return cos[0].contiguous(), sin[0].contiguous()

    def forward(self, hidden: torch.Tensor, attend: Attend) -> torch.Tensor:
        """Run embedded tokens [tokens, hidden] through all layers and the last norm."""
        for number, layer in enumerate(self._layers):
            hidden = layer.forward(hidden, partial(attend, number))
        return _rms(hidden, self._norm)


def even_keys(layer: _Module, kv_heads: int, head_dim: int) -> None:
    """Divide the largest channels of a layer's keys by powers of two, and multiply the queries by the same.

    Scores stay the same to the bit, but for numbers that are too small for the format. Keys in 8 bits have one scale
    for all channels of a head, and Llama models have a few channels of far larger keys (KIVI, arXiv:2402.02750), which
    would make the others coarse. How large a channel is, the norm of its weights tells. Both channels that rotation
    mixes have one factor. Weights that are quantized stay as they are.
    """
    queries, keys = layer.self_attn.q_proj, layer.self_attn.k_proj
    if not (_is_plain(queries) and _is_plain(keys)):
        return
    by_channel = keys.weight.data.view(kv_heads, head_dim, -1)
    norms = (by_channel.float() * layer.input_layernorm.weight.data.float()).norm(dim=-1)
    pairs = norms.view(kv_heads, 2, -1).amax(dim=1)
    larger = pairs / pairs.median(dim=-1, keepdim=True).values.clamp(min=torch.finfo(torch.float32).tiny)
    factors = torch.exp2(larger.log2().round().clamp(0, _MOST_DOUBLINGS)).repeat(1, 2).unsqueeze(-1).to(keys.weight)
    by_channel /= factors
    queries.weight.data.view(kv_heads, -1, head_dim, queries.weight.shape[1]).mul_(factors.unsqueeze(1))


class _Layer:
    """One decoder layer."""

    def __init__(self, layer: _Module, gate: Gate, quantized: Products) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self._before, self._after, self._gate = layer.input_layernorm, layer.post_attention_layernorm, gate
        self._qkv = _concatenated([attention.q_proj, attention.k_proj, attention.v_proj], quantized)
        self._gate_up = _concatenated([mlp.gate_proj, mlp.up_proj], quantized)
        self._o, self._down = _added(attention.o_proj, quantized), _added(mlp.down_proj, quantized)

    def forward(self, hidden: torch.Tensor, attend: Gate) -> torch.Tensor:
        """Run tokens [tokens, hidden] through the layer."""
        hidden = self._o(attend(self._qkv(_rms(hidden, self._before))), hidden)
        return self._down(self._gate(self._gate_up(_rms(hidden, self._after))), hidden)


def _concatenated(modules: Sequence[_Module], quantized: Products) -> Gate:
    """The concatenated products of one input with several projections."""
    if not all(_is_plain(module) for module in modules):
        product = quantized(modules)
        return lambda tokens: product(tokens, None)
    weight = torch.cat([module.weight.data for module in modules])
    start = 0
    for module in modules:
        end = start + module.weight.shape[0]
        module.weight.data = weight[start:end]
        start = end
    return lambda tokens: functional.linear(tokens, weight)


def _added(module: _Module, quantized: Products) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A projection of the first input, added to the second."""
    if not _is_plain(module):
        return quantized([module])
    weight = module.weight.data.t()
    return lambda tokens, residual: torch.addmm(residual, tokens, weight)


def _is_plain(module: _Module) -> bool:
    """Whether a projection is one plain matrix: not quantized, and without a bias."""
    return type(module) is torch.nn.Linear and module.bias is None


def _rms(tokens: torch.Tensor, norm: _Module) -> torch.Tensor:
    return functional.rms_norm(tokens, (tokens.shape[-1],), norm.weight, norm.variance_epsilon)


def _gate(gate_up: torch.Tensor) -> torch.Tensor:
    gate, up = gate_up.chunk(2, dim=-1)
    return functional.silu(gate) * up
