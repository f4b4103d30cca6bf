import pytest
import torch
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from maya_batch.engine.kernels.llama_layers import LlamaLayers
from maya_batch.engine.kernels.torch_attention import attend_prompt, split_heads
from maya_batch.errors import MachineError

IDS = torch.tensor([[3, 14, 15, 92, 65, 35, 89, 79, 3, 23], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]])


def tiny(**more: object) -> LlamaForCausalLM:
    torch.manual_seed(0)
    settings: dict[str, object] = {
        "vocab_size": 100,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.2,
    }
    return LlamaForCausalLM(LlamaConfig(**settings | more)).eval()


def theirs(model: LlamaForCausalLM) -> torch.Tensor:
    with torch.inference_mode():
        scores: torch.Tensor = model(IDS).logits
    return scores


def ours(llama: LlamaLayers) -> torch.Tensor:
    """Logits [prompts, positions, vocabulary]."""
    prompts, positions = IDS.shape
    cos, sin = llama.rotary(positions)

    def attend(layer: int, qkv: torch.Tensor) -> torch.Tensor:
        return attend_prompt(*split_heads(qkv.view(prompts, positions, -1), llama.kv_heads, llama.head_dim, cos, sin))

    with torch.inference_mode():
        hidden = llama.forward(llama.embed(IDS.flatten()), attend)
        return functional.linear(hidden, llama.head).view(prompts, positions, -1)


CONFIGS: list[dict[str, object]] = [
    {},
    {"head_dim": 32},
    {"num_key_value_heads": 4},
    {"tie_word_embeddings": True},
    {"attention_bias": True},
    {"mlp_bias": True},
    {"rms_norm_eps": 0.5},
    {
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500.0,
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }
    },
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: ", ".join(config) or "plain")
def test_scores_are_those_of_the_model(config: dict[str, object]) -> None:
    model = tiny(**config)
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "norm" in name:
            torch.nn.init.normal_(parameter, 1.0, 0.3)
    before = theirs(model)
    torch.testing.assert_close(ours(LlamaLayers(model)), before, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(theirs(model), before, rtol=0, atol=1e-6)


def test_what_is_no_plain_matrix_is_multiplied_by_its_own_module() -> None:
    model = tiny(attention_bias=True)
    before = theirs(model)
    asked: list[str] = []
    for name, module in model.model.layers.named_modules():
        if name.endswith("_proj"):
            module.register_forward_hook(lambda module, inputs, output, name=name: asked.append(name))
    torch.testing.assert_close(ours(LlamaLayers(model)), before, rtol=1e-5, atol=1e-5)
    assert asked == [f"{layer}.self_attn.{part}_proj" for layer in range(2) for part in "qkvo"]


def test_nothing_is_held_twice() -> None:
    """What multiplies the same input lies side by side in memory; the model's modules look at it."""
    model = tiny()
    named = dict(model.named_parameters())
    LlamaLayers(model)
    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        for modules in ((attention.q_proj, attention.k_proj, attention.v_proj), (mlp.gate_proj, mlp.up_proj)):
            storages = {module.weight.untyped_storage().data_ptr() for module in modules}
            assert len(storages) == 1
            weights = [module.weight for module in modules]
            size = sum(weight.numel() * weight.element_size() for weight in weights)
            assert weights[0].untyped_storage().nbytes() == size
            at = weights[0].data_ptr()
            for weight in weights:
                assert weight.data_ptr() == at
                assert weight.is_contiguous()
                at += weight.numel() * weight.element_size()
    held = {weight.untyped_storage().data_ptr(): weight.untyped_storage().nbytes() for weight in named.values()}
    assert sum(held.values()) == sum(weight.numel() * weight.element_size() for weight in named.values())


def test_a_second_llama_of_a_model_is_as_good_as_the_first() -> None:
    model = tiny()
    first = LlamaLayers(model)
    scores = ours(first)
    second = LlamaLayers(model)
    assert torch.equal(ours(second), scores)
    assert torch.equal(ours(first), scores)


def test_its_metrics_are_those_of_the_configuration() -> None:
    llama = LlamaLayers(tiny(head_dim=32, tie_word_embeddings=True))
    assert (llama.layers, llama.heads, llama.kv_heads, llama.head_dim) == (2, 4, 2, 32)
    assert llama.widths == (64, (4 + 2 * 2) * 32, 2 * 96)
    assert llama.dtype == torch.float32
    assert llama.head.shape == (100, 64)
    attention, mlp, norms = 64 * 32 * (4 + 2 * 2) + 4 * 32 * 64, 3 * 64 * 96, 2 * 64
    assert llama.layer_bytes == 2 * (attention + mlp + norms) * 4
    assert llama.position_bytes == 2 * (2 * 2 * 32) * 4


def test_a_model_that_is_no_llama_is_refused() -> None:
    sizes = {"vocab_size": 100, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1}
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=100, n_embd=64, n_layer=1, n_head=4))
    mistral = MistralForCausalLM(MistralConfig(**sizes, num_attention_heads=4, num_key_value_heads=2))
    for model, name in ((gpt2, "gpt2"), (mistral, "mistral"), (tiny(hidden_act="gelu"), "llama")):
        with pytest.raises(MachineError, match=f"a model of type {name} lacks Maya1's Llama"):
            LlamaLayers(model)
