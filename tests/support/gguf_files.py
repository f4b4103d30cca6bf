"""Writes GGUF files by hand, right ones and wrong ones, and a small random Llama that llama.cpp runs.

No package for GGUF is needed, and nothing of this program is used: a mistake here and there would hide each other.
"""

import random
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

#: Numbers of value types, and how struct packs a value.
_VALUES = {
    "u8": (0, "B"),
    "i8": (1, "b"),
    "u16": (2, "H"),
    "i16": (3, "h"),
    "u32": (4, "I"),
    "i32": (5, "i"),
    "f32": (6, "f"),
    "bool": (7, "?"),
    "u64": (10, "Q"),
    "i64": (11, "q"),
    "f64": (12, "d"),
}

#: Tensor types: number, values of a block, its bytes.
TENSORS = {
    "F32": (0, 1, 4),
    "F16": (1, 1, 2),
    "Q4_0": (2, 32, 18),
    "Q4_1": (3, 32, 20),
    "Q5_0": (6, 32, 22),
    "Q5_1": (7, 32, 24),
    "Q8_0": (8, 32, 34),
    "Q8_1": (9, 32, 40),
    "Q2_K": (10, 256, 84),
    "Q3_K": (11, 256, 110),
    "Q4_K": (12, 256, 144),
    "Q5_K": (13, 256, 176),
    "Q6_K": (14, 256, 210),
    "Q8_K": (15, 256, 292),
    "IQ2_XXS": (16, 256, 66),
    "IQ2_XS": (17, 256, 74),
    "IQ3_XXS": (18, 256, 98),
    "IQ1_S": (19, 256, 50),
    "IQ4_NL": (20, 32, 18),
    "IQ3_S": (21, 256, 110),
    "IQ2_S": (22, 256, 82),
    "IQ4_XS": (23, 256, 136),
    "I8": (24, 1, 1),
    "I16": (25, 1, 2),
    "I32": (26, 1, 4),
    "I64": (27, 1, 8),
    "F64": (28, 1, 8),
    "IQ1_M": (29, 256, 56),
    "BF16": (30, 1, 2),
    "TQ1_0": (34, 256, 54),
    "TQ2_0": (35, 256, 66),
    "MXFP4": (39, 32, 17),
    "NVFP4": (40, 64, 36),
    "Q1_0": (41, 128, 18),
}

Value = tuple[str, Any]
"""The type of a value, like `u32`, `str` or `[str]`, and the value."""


@dataclass(frozen=True)
class Tensor:
    """A tensor; `offset` and `data` follow from the rest unless they are given."""

    shape: tuple[int, ...]
    type: str | int = "F32"
    data: bytes | None = None
    offset: int | None = None

    def size(self) -> int:
        _, values, size = TENSORS[str(self.type)]
        return prod(self.shape) // values * size


@dataclass(frozen=True)
class Gguf:
    """A file to be written. Counts follow from the rest unless they are given."""

    metadata: Mapping[str, Value] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    version: int = 3
    alignment: int = 32
    counts: tuple[int, int] | None = None
    twice: str | None = None
    """A key or a tensor that is written twice."""

    def changed(self, metadata: Mapping[str, Value | None] = {}, tensors: Mapping[str, Tensor | None] = {}) -> "Gguf":
        """With other or more keys and tensors; without those that are None."""
        values = {key: value for key, value in {**self.metadata, **metadata}.items() if value is not None}
        all_tensors = {name: tensor for name, tensor in {**self.tensors, **tensors}.items() if tensor is not None}
        return replace(self, metadata=values, tensors=all_tensors)

    def bytes(self) -> bytes:
        keys = [key for key in self.metadata for _ in range(2 if key == self.twice else 1)]
        names = [name for name in self.tensors for _ in range(2 if name == self.twice else 1)]
        counts = self.counts or (len(names), len(keys))
        header = b"GGUF" + struct.pack("<IQQ", self.version, *counts)
        header += b"".join(text(key) + value(*self.metadata[key]) for key in keys)
        data = b""
        for name in names:
            tensor = self.tensors[name]
            offset = len(data) if tensor.offset is None else tensor.offset
            header += text(name) + struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
            code = TENSORS[tensor.type][0] if isinstance(tensor.type, str) else tensor.type
            header += struct.pack("<IQ", code, offset)
            data += bytes(tensor.size()) if tensor.data is None else tensor.data
            data += bytes(-len(data) % self.alignment)
        return header + bytes(-len(header) % self.alignment) + data

    def write(self, path: Path) -> Path:
        path.write_bytes(self.bytes())
        return path


def text(content: str | bytes) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return struct.pack("<Q", len(raw)) + raw


def value(kind: str, content: Any) -> bytes:
    """A value after its type."""
    if kind == "str":
        return struct.pack("<I", 8) + text(content)
    if kind == "[str]":
        return struct.pack("<IIQ", 9, 8, len(content)) + b"".join(map(text, content))
    if kind.startswith("["):
        code, form = _VALUES[kind.strip("[]")]
        return struct.pack(f"<IIQ{len(content)}{form}", 9, code, len(content), *content)
    code, form = _VALUES[kind]
    return struct.pack(f"<I{form}", code, content)


def tokens(count: int) -> list[str]:
    """A vocabulary of that many tokens: the 256 letters that stand for bytes, two merged ones, and special ones."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(code) for code in plain] + [chr(256 + number) for number in range(256 - len(plain))]
    found = [*letters, "th", "the"]
    return [*found, *(f"<custom_token_{number}>" for number in range(count - len(found)))]


def random_llama(
    seed: int = 0,
    *,
    layers: int = 2,
    width: int = 64,
    heads: int = 4,
    kv_heads: int = 2,
    inner: int = 128,
    count: int = 600,
    type: str = "F16",
) -> Gguf:
    """A small Llama with random weights; `type` is that of its matrices, `count` its number of tokens."""
    draw = random.Random(seed)
    head_dim = width // heads
    names = tokens(count)
    metadata: dict[str, Value] = {
        "general.architecture": ("str", "llama"),
        "general.type": ("str", "model"),
        "general.name": ("str", "A small Llama"),
        "general.file_type": ("u32", 1),
        "llama.vocab_size": ("u32", count),
        "llama.context_length": ("u32", 512),
        "llama.embedding_length": ("u32", width),
        "llama.block_count": ("u32", layers),
        "llama.feed_forward_length": ("u32", inner),
        "llama.attention.head_count": ("u32", heads),
        "llama.attention.head_count_kv": ("u32", kv_heads),
        "llama.attention.key_length": ("u32", head_dim),
        "llama.attention.value_length": ("u32", head_dim),
        "llama.attention.layer_norm_rms_epsilon": ("f32", 1e-5),
        "llama.rope.dimension_count": ("u32", head_dim),
        "llama.rope.freq_base": ("f32", 10000.0),
        "tokenizer.ggml.model": ("str", "gpt2"),
        "tokenizer.ggml.pre": ("str", "llama-bpe"),
        "tokenizer.ggml.tokens": ("[str]", names),
        "tokenizer.ggml.token_type": ("[i32]", [1] * 258 + [3] * (count - 258)),
        "tokenizer.ggml.merges": ("[str]", ["t h", "th e"]),
        "tokenizer.ggml.bos_token_id": ("u32", 258),
        "tokenizer.ggml.eos_token_id": ("u32", 259),
        "tokenizer.ggml.padding_token_id": ("u32", 260),
        "tokenizer.ggml.add_bos_token": ("bool", False),
    }
    queries, keys = width, kv_heads * head_dim
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (width, count), "output_norm.weight": (width,)}
    for layer in range(layers):
        for name, shape in {
            "attn_norm": (width,),
            "attn_q": (width, queries),
            "attn_k": (width, keys),
            "attn_v": (width, keys),
            "attn_output": (queries, width),
            "ffn_norm": (width,),
            "ffn_gate": (width, inner),
            "ffn_up": (width, inner),
            "ffn_down": (inner, width),
        }.items():
            shapes[f"blk.{layer}.{name}.weight"] = shape
    shapes["rope_freqs.weight"] = (head_dim // 2,)
    tensors = {name: _random_tensor(shape, type if len(shape) > 1 else "F32", draw) for name, shape in shapes.items()}
    return Gguf(metadata, tensors)


def _random_tensor(shape: tuple[int, ...], type: str, draw: random.Random) -> Tensor:
    """Values around 1 in a norm and small ones in a matrix; a quantized matrix is random bytes."""
    if len(shape) == 1:
        return Tensor(shape, type, struct.pack(f"<{shape[0]}f", *(draw.uniform(0.5, 1.5) for _ in range(shape[0]))))
    if type in ("F32", "F16"):
        form = "f" if type == "F32" else "e"
        return Tensor(shape, type, struct.pack(f"<{prod(shape)}{form}", *_uniform(prod(shape), draw)))
    tensor = Tensor(shape, type)
    return replace(tensor, data=draw.randbytes(tensor.size()))


def _uniform(count: int, draw: random.Random) -> Iterable[float]:
    return draw.choices([draw.uniform(-0.1, 0.1) for _ in range(1000)], k=count)
