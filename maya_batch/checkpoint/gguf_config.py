"""Compares a GGUF file with what a Llama needs, before llama.cpp loads it.

llama.cpp ends the whole process on some wrong values, and ignores others. The rules here are those of its loader
(src/llama-model.cpp, src/models/llama.cpp), and the bounds those of hf_config.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from maya_batch.checkpoint.gguf_file import GgufFile, unusable
from maya_batch.checkpoint.gguf_tokens import check_vocabulary
from maya_batch.checkpoint.gguf_types import FILE_TYPES, MATRICES
from maya_batch.messages.plural import plural
from maya_batch.messages.quoting import quoted

CONTEXT_LENGTH = "llama.context_length"

#: Bounds far above every Llama; llama.cpp ends the process on more than 512 layers.
_MOST = {
    CONTEXT_LENGTH: 2**27,
    "llama.embedding_length": 2**16,
    "llama.block_count": 512,
    "llama.feed_forward_length": 2**19,
    "llama.attention.head_count": 2**10,
}
_MOST_IF_THERE = {
    "llama.attention.head_count_kv": 2**10,
    "llama.attention.key_length": 2**10,
    "llama.attention.value_length": 2**10,
    "llama.rope.dimension_count": 2**10,
    "llama.rope.scaling.original_context_length": 2**27,
}

#: What llama.cpp reads for models of other forms: a mixture of experts, an encoder, a classifier, drafting layers.
_NONE_BUT_0 = (
    "llama.expert_count",
    "llama.expert_used_count",
    "llama.expert_group_count",
    "llama.expert_group_used_count",
    "llama.nextn_predict_layers",
    "llama.pooling_type",
    "llama.classifier.pooling_type",
)
_NONE = (
    "llama.embedding_length_out",
    "llama.attention.key_length_swa",
    "llama.attention.value_length_swa",
    "llama.rope.dimension_count_swa",
    "llama.classifier.output_labels",
)

_EPSILON = "llama.attention.layer_norm_rms_epsilon"
_POSITIVE = (
    "llama.rope.freq_base",
    "llama.rope.scaling.factor",
    "llama.rope.scale_linear",
    "llama.rope.scaling.attn_factor",
    "llama.rope.scaling.alpha",
)
_ROPE_TYPES = ("none", "linear", "yarn")

_OTHER = "use the GGUF file of a Maya1 model"


@dataclass(frozen=True)
class GgufConfig:
    """The shape of a Llama in a GGUF file.

    `context` is the number of positions it was trained with, `file_type` how its weights are stored, like `q4_k_m`
    (`mixed` if the file does not say), and `weight_bytes` the size of all tensors.
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    context: int
    file_type: str
    weight_bytes: int


def read_gguf_config(file: GgufFile) -> GgufConfig:
    """The configuration of the Llama in a file, after a check of all that llama.cpp reads of it.

    Raises:
        MachineError: it is another kind of file, or has a value or a tensor that no Llama has.
    """
    try:
        other, mend = _other_kind(file)
    except ValueError as error:
        raise unusable(file.path, str(error)) from error
    if other:
        raise unusable(file.path, other, mend)
    try:
        config = _parse(file)
        _check_tensors(file, config)
    except ValueError as error:
        raise unusable(file.path, str(error)) from error
    return config


def _other_kind(file: GgufFile) -> tuple[str, str]:
    """What a file is instead of a whole language model, and what to use; empty if it is one."""
    parts = file.value("split.count", "u16") or 1
    kind = file.value("general.type", "str") or "model"
    architecture = file.value("general.architecture", "str")
    if kind == "adapter" or "adapter.type" in file.types:
        return "it is a LoRA adapter", _OTHER
    if kind in ("mmproj", "clip-vision") or architecture == "clip":
        return "it is the projector of a multimodal model", _OTHER
    if kind != "model":
        return f"general.type is {quoted(kind)}", _OTHER
    if architecture != "llama":
        return f"general.architecture is {quoted(architecture)}, but Maya1 is a llama", _OTHER
    if parts > 1:
        return f"it is one of {parts} parts", "merge them with `llama-gguf-split --merge FIRST-PART OUTPUT`"
    return "", ""


def _parse(file: GgufFile) -> GgufConfig:
    """The checked numbers of a file.

    Raises:
        ValueError: a value is wrong; the message says how.
    """
    numbers = {key: _whole(key, file.value(key, "u32"), most) for key, most in _MOST.items()}
    for key, most in _MOST_IF_THERE.items():
        if (value := file.value(key, "u32")) is not None:
            numbers[key] = _whole(key, value, most)
    _check_other_forms(file)
    _check_floats(file)
    hidden, heads = numbers["llama.embedding_length"], numbers["llama.attention.head_count"]
    kv_heads = numbers.get("llama.attention.head_count_kv", heads)
    if hidden % heads or heads % kv_heads:
        raise ValueError(
            f"embedding_length ({hidden}) must be a multiple of head_count ({heads}), and that a multiple of "
            f"head_count_kv ({kv_heads})"
        )
    head_dim = numbers.get("llama.attention.key_length", hidden // heads)
    if head_dim % 2:
        raise ValueError(f"the size of a head is {head_dim}; it must be even")
    for key, usual in (("attention.value_length", hidden // heads), ("rope.dimension_count", head_dim)):
        if (size := numbers.get(f"llama.{key}", usual)) != head_dim:
            raise ValueError(f"llama.{key} is {size}; it must be the size of a head, {head_dim}")
    return GgufConfig(
        hidden=hidden,
        layers=numbers["llama.block_count"],
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=numbers["llama.feed_forward_length"],
        vocabulary=check_vocabulary(file),
        context=numbers[CONTEXT_LENGTH],
        file_type=FILE_TYPES.get(file.value("general.file_type", "u32"), "mixed"),
        weight_bytes=sum(tensor.size for tensor in file.tensors),
    )


def _check_other_forms(file: GgufFile) -> None:
    """Check that the file asks for nothing that a Maya1 model has not."""
    for key in _NONE_BUT_0:
        if file.value(key, "u32"):
            raise ValueError(f"{key} is {quoted(file.metadata[key])}, but Maya1 has none")
    for key in _NONE:
        if key in file.types:
            raise ValueError(f"it has {key}, but Maya1 has none")
    if file.value("llama.attention.causal", "bool") is False:
        raise ValueError("llama.attention.causal is False, but Maya1's attention is causal")


def _check_floats(file: GgufFile) -> None:
    """Check the numbers of the norms and of the position angles; NaN is never in a range."""
    epsilon = file.value(_EPSILON, "f32")
    if epsilon is None or not 0 <= epsilon <= 1:
        raise ValueError(f"{_EPSILON} is {quoted(epsilon)}; it must be a number from 0 to 1")
    for key in _POSITIVE:
        number = file.value(key, "f32")
        if number is not None and not 1e-3 <= number <= 1e12:
            raise ValueError(f"{key} is {number}; it must be a number greater than 0")
    file.value("llama.rope.scaling.finetuned", "bool")
    kind = file.value("llama.rope.scaling.type", "str")
    if kind is not None and kind not in _ROPE_TYPES:
        raise ValueError(f"llama.rope.scaling.type is {quoted(kind)}; it must be one of {', '.join(_ROPE_TYPES)}")


def _whole(key: str, value: int | None, most: int) -> int:
    if value is None:
        raise ValueError(f"it lacks {key}")
    if not 1 <= value <= most:
        raise ValueError(f"{key} is {value}; it must be a whole number from 1 to {most}")
    return value


def _check_tensors(file: GgufFile, config: GgufConfig) -> None:
    """Check that the file has the tensors of a Llama, of the right shapes and types, and no others."""
    needed = _shapes(config)
    shapes = {
        **needed,
        "output.weight": (config.hidden, config.vocabulary),
        "rope_freqs.weight": (config.head_dim // 2,),
    }
    for tensor in file.tensors:
        shape = shapes.get(tensor.name)
        if shape is None:
            raise ValueError(f"it has the tensor {quoted(tensor.name)}, which Maya1 has not")
        if tensor.shape != shape:
            raise ValueError(f"the shape of {tensor.name} is {tensor.shape}, but {shape} by its numbers")
        if len(shape) == 1 and tensor.type != "F32":
            raise ValueError(f"{tensor.name} has the type {tensor.type}; it must be F32")
        if tensor.type not in MATRICES:
            raise ValueError(f"{tensor.name} has the type {tensor.type}, which a Maya1 file cannot have")
    missing = needed.keys() - {tensor.name for tensor in file.tensors}
    if missing:
        raise ValueError(f"it lacks {plural(len(missing), 'tensor')} of the model, for example {min(missing)}")


def _shapes(config: GgufConfig) -> Mapping[str, tuple[int, ...]]:
    """The shapes of the tensors that each Llama has; the length of a row is first."""
    hidden, inner = config.hidden, config.intermediate
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    layer = {
        "attn_norm": (hidden,),
        "attn_q": (hidden, queries),
        "attn_k": (hidden, keys),
        "attn_v": (hidden, keys),
        "attn_output": (queries, hidden),
        "ffn_norm": (hidden,),
        "ffn_gate": (hidden, inner),
        "ffn_up": (hidden, inner),
        "ffn_down": (inner, hidden),
    }
    layers = {f"blk.{number}.{name}.weight": shape for number in range(config.layers) for name, shape in layer.items()}
    return {"token_embd.weight": (hidden, config.vocabulary), "output_norm.weight": (hidden,), **layers}
