"""How far q4_k_m and nf4 are off: the matrices of a layer of Maya1's width, with weights of heavy tails.

llama.cpp quantizes the weights and this script reads them back with the package gguf; nf4 is that of bitsandbytes. Each
matrix is multiplied with the same normal input in float32. The error is the norm of the difference from the product of
the unquantized weights, divided by the norm of that product.

llama.cpp stores attn_v and ffn_down as Q6_K here, and in a whole model in about half of the layers; the others have
Q4_K there, too.

python -m tests.measure.gguf_quantization [--degrees 4] [--tokens 64]
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import gguf
import numpy as np
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from maya_batch.checkpoint.gguf_convert import convert
from maya_batch.checkpoint.locate import find_checkpoint
from maya_batch.checkpoint.token_layout import FRAME_ORDER, SLOTS, TokenLayout

Array = NDArray[np.float32]

#: Maya1's width and heads, and the standard deviation of Llama's weights before training.
HIDDEN, INNER, HEADS, KV_HEADS, HEAD_DIM, SCALE = 3072, 8192, 24, 8, 128, 0.02

#: Enough for the letters and a small token layout; the embedding is not compared.
VOCABULARY = 512

#: llama.cpp's names of the matrices, and the checkpoint's; rows are outputs.
MATRICES = {
    "attn_q": ("self_attn.q_proj", (HEADS * HEAD_DIM, HIDDEN)),
    "attn_k": ("self_attn.k_proj", (KV_HEADS * HEAD_DIM, HIDDEN)),
    "attn_v": ("self_attn.v_proj", (KV_HEADS * HEAD_DIM, HIDDEN)),
    "attn_output": ("self_attn.o_proj", (HIDDEN, HEADS * HEAD_DIM)),
    "ffn_gate": ("mlp.gate_proj", (INNER, HIDDEN)),
    "ffn_up": ("mlp.up_proj", (INNER, HIDDEN)),
    "ffn_down": ("mlp.down_proj", (HIDDEN, INNER)),
}

CONFIG = {
    "model_type": "llama",
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "num_hidden_layers": 1,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "intermediate_size": INNER,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
}


def main() -> None:
    """Print the errors of each matrix, and their mean over the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--degrees", type=float, default=4.0, help="of freedom of Student's t")
    parser.add_argument("--tokens", type=int, default=64)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    spread = SCALE / float(np.sqrt(options.degrees / (options.degrees - 2)))
    # Through bfloat16, as Maya1's weights are stored.
    weights = {
        name: _bfloat16((rng.standard_t(options.degrees, shape) * spread).astype(np.float32))
        for name, (_, shape) in MATRICES.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        path = _convert(Path(folder), weights, rng)
        stored = {tensor.name.split(".")[-2]: tensor for tensor in gguf.GGUFReader(path).tensors}
        print(f"{'matrix':14}{'type':8}{'q4_k_m':>9}{'nf4':>9}")
        squares = np.zeros(3)
        for name, weight in weights.items():
            tensor = stored[name]
            quantized = gguf.dequantize(tensor.data, tensor.tensor_type)
            if name in ("attn_q", "attn_k"):
                quantized = _unpermuted(quantized, HEADS if name == "attn_q" else KV_HEADS)
            inputs = rng.standard_normal((options.tokens, weight.shape[1]), dtype=np.float32)
            exact = inputs @ weight.T
            found = [_off(inputs @ other.T, exact) for other in (quantized, _nf4(weight))]
            squares += weight.size * np.array([1.0, found[0] ** 2, found[1] ** 2])
            print(f"{name:14}{tensor.tensor_type.name:8}{found[0]:9.2%}{found[1]:9.2%}", flush=True)
        q4, nf4 = np.sqrt(squares[1:] / squares[0])
        print(f"{'all weights':22}{q4:9.2%}{nf4:9.2%}")


def _off(product: Array, exact: Array) -> float:
    return float(np.linalg.norm(product - exact) / np.linalg.norm(exact))


def _bfloat16(weight: Array) -> Array:
    rounded: Array = torch.from_numpy(weight).bfloat16().float().numpy()
    return rounded


def _nf4(weight: Array) -> Array:
    """As `--quantization nf4` stores it: blocks of 64, with their scales quantized, too."""
    packed, state = quantize_4bit(torch.from_numpy(weight), quant_type="nf4", compress_statistics=True)
    restored: Array = dequantize_4bit(packed, state).float().numpy()
    return restored


def _unpermuted(weight: Array, heads: int) -> Array:
    """The rows in the checkpoint's order; llama.cpp's has the two halves of a head's rotation next to each other."""
    restored: Array = weight.reshape(heads, HEAD_DIM // 2, 2, -1).swapaxes(1, 2).reshape(weight.shape)
    return restored


def _convert(folder: Path, weights: Mapping[str, Array], rng: np.random.Generator) -> Path:
    """A checkpoint of one layer with these weights, as a GGUF file of q4_k_m."""
    tensors = {f"model.layers.0.{MATRICES[name][0]}.weight": weight for name, weight in weights.items()}
    for name in ("model.norm", "model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm"):
        tensors[f"{name}.weight"] = np.ones(HIDDEN, np.float32)
    tensors["model.embed_tokens.weight"] = rng.standard_normal((VOCABULARY, HIDDEN), dtype=np.float32)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    letters = pre_tokenizers.ByteLevel.alphabet()
    tokenizer = Tokenizer(models.BPE({letter: id_ for id_, letter in enumerate(sorted(letters))}, []))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    first = len(letters)
    names = ("bos", "eot", "soh", "eoh", "soa", "sos", "eos", "pad")
    specials = {name: first + number for number, name in enumerate(names)}
    layout = asdict(TokenLayout(code_offset=first + len(names), codebook_size=16, tags=())) | specials
    layout |= {"tokens_per_frame": SLOTS, "frame_order": FRAME_ORDER}
    (folder / "maya_tokens.json").write_text(json.dumps(layout), encoding="utf-8")
    path = folder / "layer.gguf"
    convert(find_checkpoint(str(folder), "model"), path, "q4_k_m", lambda *done: None)
    return path


if __name__ == "__main__":
    main()
