"""The layers of a Llama model for decoding, with few large products. The caller provides attention.

The weights are transformers' own; how they are multiplied, and what else a layer computes, are its operations.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import torch
from transformers import LlamaForCausalLM, PreTrainedModel

from maya_batch.engine.kernels.even_keys import even_keys
from maya_batch.engine.kernels.operations import Operations, TorchOperations
from maya_batch.errors import MachineError

#: A module of transformers or bitsandbytes, which have no types.
_Module: TypeAlias = Any

#: Attention: from a layer's number and [tokens, (heads + 2 kv heads) * head_dim] to [tokens, heads * head_dim].
Attend = Callable[[int, torch.Tensor], torch.Tensor]

#: Bytes of the scale of one head's key or value in 8 bits: a float16.
_SCALE_BYTES = 2


class LlamaLayers:
    """The layers of a loaded model."""

    def __init__(
        self,
        model: PreTrainedModel,
        operations: Operations | None = None,
        int8_cache: bool = False,
    ) -> None:
        """Without other `operations`, PyTorch's. With `int8_cache`, keys and values are kept in 8 bits.

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
        self._operations = operations or TorchOperations()
        self._layers = [_Layer(layer, self._operations) for layer in model.model.layers]
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
        added = None
        for number, layer in enumerate(self._layers):
            hidden, added = layer.forward(hidden, added, partial(attend, number))
        return self._operations.finish(hidden, added, self._norm)


class _Layer:
    """One decoder layer. What its last product adds, the next norm adds."""

    def __init__(self, layer: _Module, operations: Operations) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self._before, self._after, self._operations = layer.input_layernorm, layer.post_attention_layernorm, operations
        self._qkv = operations.projection([attention.q_proj, attention.k_proj, attention.v_proj])
        self._gate_up = operations.projection([mlp.gate_proj, mlp.up_proj])
        self._o, self._down = operations.projection([attention.o_proj]), operations.projection([mlp.down_proj])

    def forward(
        self, hidden: torch.Tensor, added: Any, attend: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, Any]:
        """Run tokens [tokens, hidden], to which `added` is still to be added, through the layer."""
        run = self._operations
        hidden, tokens = run.normalize(hidden, added, self._before)
        added = self._o(run.attended(attend(run.whole(self._qkv(tokens)))))
        hidden, tokens = run.normalize(hidden, added, self._after)
        return hidden, self._down(run.gate(self._gate_up(tokens)))
