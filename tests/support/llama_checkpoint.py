"""Writes small checkpoints of Llama's form, with random weights and a tokenizer, for conversions to GGUF."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]

LAYERS, WIDTH, HEADS, KV_HEADS, HEAD, INNER = 2, 64, 4, 2, 16, 96

#: 256 bytes, 2 merged tokens, 2 tags, 8 special tokens and 7 x 16 codes; the embedding has 4 rows more.
LAYOUT: dict[str, object] = {
    "bos": 260,
    "eot": 261,
    "soh": 262,
    "eoh": 263,
    "soa": 264,
    "sos": 265,
    "eos": 266,
    "pad": 267,
    "code_offset": 268,
    "codebook_size": 16,
    "tokens_per_frame": 7,
    "frame_samples": 2048,
    "sampling_rate": 24000,
    "tags": ["laugh", "sigh"],
}
USED, ROWS = 268 + 7 * 16, 268 + 7 * 16 + 4

CONFIG: dict[str, object] = {
    "model_type": "llama",
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD,
    "vocab_size": ROWS,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
}

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


def letters() -> list[str]:
    """The letters by which a byte-level BPE writes the 256 bytes, by the bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def tokenizer() -> dict[str, Any]:
    """A byte-level BPE with two merges; one of its tags and all that follows are special."""
    texts = [*letters(), "th", "the"]
    added = ["<laugh>", "<sigh>", *(f"<|special_{number}|>" for number in range(8))]
    added += [f"<custom_token_{number}>" for number in range(7 * 16)]
    matched_as_it_is = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {
        "added_tokens": [
            {"id": id_, "content": text, "special": text != "<laugh>", **matched_as_it_is}
            for id_, text in enumerate(added, len(texts))
        ],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        "model": {
            "type": "BPE",
            "vocab": {text: id_ for id_, text in enumerate(texts)},
            "merges": [["t", "h"], "th e"],
        },
    }


def random_weights(config: Mapping[str, Any], tied: bool = True) -> dict[str, Array]:
    """The tensors of a Llama, float32, each number one that bfloat16 has."""
    hidden, inner, rows = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    queries, keys = (config[name] * config["head_dim"] for name in ("num_attention_heads", "num_key_value_heads"))
    shapes = {"model.embed_tokens": (rows, hidden), "model.norm": (hidden,)}
    if not tied:
        shapes["lm_head"] = (rows, hidden)
    for layer in range(config["num_hidden_layers"]):
        start = f"model.layers.{layer}."
        shapes |= {start + name: (hidden,) for name in ("input_layernorm", "post_attention_layernorm")}
        shapes |= {start + "self_attn.q_proj": (queries, hidden), start + "self_attn.o_proj": (hidden, queries)}
        shapes |= {f"{start}self_attn.{name}_proj": (keys, hidden) for name in "kv"}
        shapes |= {f"{start}mlp.{name}_proj": (inner, hidden) for name in ("gate", "up")}
        shapes |= {start + "mlp.down_proj": (hidden, inner)}
    draw = np.random.default_rng(0)
    return {f"{name}.weight": bf16(draw.normal(0, 0.1, shape).astype("<f4")) for name, shape in shapes.items()}


def bf16(numbers: Array) -> Array:
    """The numbers without the bits that bfloat16 does not have."""
    whole: Array = (numbers.view("<u4") & 0xFFFF0000).view("<f4")
    return whole


@dataclass
class LlamaCheckpoint:
    """A checkpoint that can be changed before it is written."""

    folder: Path
    config: dict[str, Any] = field(default_factory=lambda: dict(CONFIG))
    layout: dict[str, object] | None = field(default_factory=lambda: dict(LAYOUT))
    tokenizer: dict[str, Any] | None = field(default_factory=tokenizer)
    tied: bool = True
    dtype: str = "BF16"
    shards: int = 1
    weights: dict[str, Array] = field(default_factory=dict)

    def write(self) -> "LlamaCheckpoint":
        """Write it, with random weights unless it has some."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config["tie_word_embeddings"] = self.config["tie_word_embeddings"] and self.tied
        self.weights = self.weights or random_weights(self.config, self.tied)
        (self.folder / "config.json").write_text(json.dumps(self.config))
        if self.layout is not None:
            (self.folder / "maya_tokens.json").write_text(json.dumps(self.layout))
        if self.tokenizer is not None:
            (self.folder / "tokenizer.json").write_text(json.dumps(self.tokenizer))
        names = list(self.weights)
        if self.shards == 1:
            self._write_shard("model.safetensors", names)
            return self
        shards = {f"model-{number}.safetensors": names[number :: self.shards] for number in range(self.shards)}
        for shard, own in shards.items():
            self._write_shard(shard, own)
        index = {name: shard for shard, own in shards.items() for name in own}
        (self.folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
        return self

    def _write_shard(self, shard: str, names: list[str]) -> None:
        header, data = {}, b""
        for name in names:
            raw = _stored(self.weights[name], self.dtype)
            header[name] = {
                "dtype": self.dtype,
                "shape": list(self.weights[name].shape),
                "data_offsets": [len(data), len(data) + len(raw)],
            }
            data += raw
        raw_header = json.dumps(header).encode()
        (self.folder / shard).write_bytes(len(raw_header).to_bytes(8, "little") + raw_header + data)


def _stored(numbers: Array, dtype: str) -> bytes:
    if dtype == "BF16":
        return (numbers.view("<u4") >> 16).astype("<u2").tobytes()
    return numbers.astype(f"<f{_BYTES[dtype]}").tobytes()


def require_gguf() -> None:
    """Skip the test without the package gguf."""
    pytest.importorskip("gguf", reason="the extra gguf is not installed")


def require_llama_cpp() -> Any:
    """llama-cpp-python; skip the test without it, or without its library."""
    require_gguf()
    try:
        import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"llama-cpp-python does not load: {error}")
    return llama_cpp
