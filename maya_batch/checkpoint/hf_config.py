"""Reads a checkpoint's config.json and checks the numbers of its Llama before a model is built.

No torch: `plan` reads the file, too, and the GPU is warmed up with its numbers while torch and transformers are
imported.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maya_batch.checkpoint.gguf_file import read_gguf
from maya_batch.checkpoint.locate import is_gguf
from maya_batch.errors import MachineError, first_line
from maya_batch.files.json_file import is_number, read_json
from maya_batch.messages.quoting import quoted

FILE = "config.json"

CONTEXT = 8192
"""Positions in the published Maya1 scripts, prompt and speech together; a checkpoint may have fewer."""

#: Bounds far above every Llama, so that no file makes the program build a model of a million layers. Maya1 has 28
#: layers of width 3072 with 24 heads (8 of keys) of 128 numbers, 8192 between gate and up, and 156,940 tokens.
_MOST = {
    "hidden_size": 2**16,
    "num_hidden_layers": 2**10,
    "num_attention_heads": 2**10,
    "intermediate_size": 2**19,
    "vocab_size": 2**22,
}
_MOST_IF_THERE = {"num_key_value_heads": 2**10, "head_dim": 2**10, "max_position_embeddings": 2**27}

#: The keys of the position angles, in files of transformers 5 and before.
_ROPE = ("rope_parameters", "rope_scaling")
_ROPE_TYPES = ("default", "linear", "dynamic", "yarn", "longrope", "llama3")

#: The keys that shape the logits of a Llama.
_KEPT = (
    *_MOST,
    *_MOST_IF_THERE,
    *_ROPE,
    "rope_theta",
    "rms_norm_eps",
    "hidden_act",
    "attention_bias",
    "mlp_bias",
    "tie_word_embeddings",
    "quantization_config",
)


@dataclass(frozen=True)
class HfConfig:
    """The shape of a Llama, and how its weights were saved."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    saved: str | None
    """The scheme it was quantized with when it was saved: `nf4`, `fp4`, `int8`, or None."""
    arguments: dict[str, Any]
    """The arguments for transformers. What else the file sets (classes, dropout, labels, outputs) is ignored."""


def read_hf_config(folder: Path) -> HfConfig:
    """The configuration of the checkpoint in `folder`.

    Raises:
        MachineError: it is missing, is not a Llama's, has a number that no Llama has, or is quantized by another
            method than bitsandbytes.
    """
    path = folder / FILE
    try:
        config = read_json(path)
        if not isinstance(config, dict):
            raise ValueError("it is not a mapping")
    except (OSError, ValueError) as error:
        raise MachineError(f"{path}: no model configuration ({first_line(error)}); fetch the model again") from error
    try:
        return _parse(config, _saved(config.get("quantization_config")))
    except ValueError as error:
        raise MachineError(f"{path}: the model does not load ({error}); fetch the model again") from error


def positions_of(path: Path) -> int:
    """The most tokens of a text and its speech together: what the folder or GGUF file says, but at most `CONTEXT`.

    An invalid file counts as `CONTEXT`; loading the model reports it.
    """
    try:
        if is_gguf(path):
            positions = read_gguf(path).metadata["llama.context_length"]
        else:
            positions = read_json(path / FILE)["max_position_embeddings"]
    except (OSError, ValueError, TypeError, LookupError, MachineError):
        return CONTEXT
    return min(CONTEXT, positions) if type(positions) is int and positions > 0 else CONTEXT


def _parse(config: dict[str, Any], saved: str | None) -> HfConfig:
    """The checked numbers of a configuration.

    Raises:
        ValueError: a number is wrong; the message says how.
    """
    if config.get("model_type") != "llama":
        raise ValueError(f"model_type is {quoted(config.get('model_type'))}, but Maya1 is a llama")
    if config.get("hidden_act", "silu") != "silu":
        raise ValueError(f"hidden_act is {quoted(config['hidden_act'])}, but Maya1's is silu")
    numbers = {name: _whole(name, config.get(name), most) for name, most in _MOST.items()}
    for name, most in _MOST_IF_THERE.items():
        # null means the default for some of them; transformers refuses it for the others.
        if config.get(name) is not None:
            numbers[name] = _whole(name, config[name], most)
    if not is_number(config.get("rms_norm_eps", 0), 0, 1):
        raise ValueError(f"rms_norm_eps is {quoted(config['rms_norm_eps'])}; it must be a number from 0 to 1")
    if "rope_theta" in config:
        _check_rope({"rope_theta": config["rope_theta"]})
    for name in _ROPE:
        _check_rope(config.get(name))
    hidden, heads = numbers["hidden_size"], numbers["num_attention_heads"]
    kv_heads = numbers.get("num_key_value_heads", heads)
    if hidden % heads or heads % kv_heads:
        raise ValueError(
            f"hidden_size ({hidden}) must be a multiple of num_attention_heads ({heads}), and that a multiple of "
            f"num_key_value_heads ({kv_heads})"
        )
    head_dim = numbers.get("head_dim", hidden // heads)
    if head_dim % 2:
        raise ValueError(f"the size of a head is {head_dim}; it must be even")
    return HfConfig(
        hidden=hidden,
        layers=numbers["num_hidden_layers"],
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=numbers["intermediate_size"],
        vocabulary=numbers["vocab_size"],
        saved=saved,
        arguments={name: config[name] for name in _KEPT if name in config},
    )


def _whole(name: str, value: object, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise ValueError(f"{name} is {quoted(value)}; it must be a whole number from 1 to {most}")
    return value


def _check_rope(rope: object) -> None:
    """Check that the position angles are numbers; transformers checks which of them a type needs."""
    if rope is None:
        return
    if not isinstance(rope, dict):
        raise ValueError(f"the position angles are {quoted(rope)}; they must be a mapping")
    for name, value in rope.items():
        if name in ("rope_type", "type"):
            if value not in _ROPE_TYPES:
                raise ValueError(f"{name} is {quoted(value)}; it must be one of {', '.join(_ROPE_TYPES)}")
        elif name in ("rope_theta", "factor"):
            if not is_number(value, 1e-3, 1e12):
                raise ValueError(f"{name} is {quoted(value)}; it must be a number greater than 0")
        elif not all(
            number is None or isinstance(number, bool) or is_number(number, 0, 1e12)
            for number in (value if isinstance(value, list) else [value])
        ):
            raise ValueError(f"{name} is {quoted(value)}; it must be a number of 0 or more")


def _saved(scheme: object) -> str | None:
    """The scheme that a quantization_config names for the weights; None without a quantization_config.

    Raises:
        ValueError: it is not a mapping, or not one of bitsandbytes.
    """
    if scheme is None:
        return None
    if not isinstance(scheme, dict):
        raise ValueError("quantization_config is not a mapping")
    method = scheme.get("quant_method", "bitsandbytes")
    if method == "bitsandbytes":
        if scheme.get("load_in_4bit") or scheme.get("_load_in_4bit"):
            return "nf4" if scheme.get("bnb_4bit_quant_type", "fp4") == "nf4" else "fp4"
        if scheme.get("load_in_8bit") or scheme.get("_load_in_8bit"):
            return "int8"
        method = "an unknown method"
    raise ValueError(f"quantized by {method if isinstance(method, str) else quoted(method)}, not bitsandbytes")
