"""Bringing a checkpoint's folder onto a device, quantized or not, and checking that what was asked for is there."""

import logging
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    LlamaConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from maya_batch.checkpoint.hf_config import CONTEXT, HfConfig, read_hf_config
from maya_batch.checkpoint.token_layout import read_layout
from maya_batch.checkpoint.weights_header import check_weights
from maya_batch.engine.batch_budget import ROWS
from maya_batch.engine.device import choose_device, choose_dtype
from maya_batch.engine.hf_engine import HfEngine
from maya_batch.engine.prompts import Prompts, is_one_token
from maya_batch.errors import MachineError, UsageError
from maya_batch.torch_errors import translated_load_errors

log = logging.getLogger(__name__)

#: Inputs of an int8 product that are larger than this are kept in float16; 0: none are. Looking for them asks the host
#: at each product, so that no frame could be a CUDA graph. On the demo voice, half of whose products have inputs over
#: the usual 6 and up to 759, that mends little: its scores lie 0.00033 from those of float32 without and 0.00024 with
#: it (Kullback-Leibler divergence, nats a token), those of nf4 0.015.
INT8_THRESHOLD = 0.0

#: The projections of a Llama layer: what quantization must have replaced.
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

#: The most bytes of a tokenizer's files, 17 MB with Llama's vocabulary, and of the other small files beside it.
_MOST_VOCABULARY, _MOST_BESIDE = 64_000_000, 16_000_000


def load_hf_engine(folder: Path, *, device: str, dtype: str, quantization: str, batch_size: int | None) -> HfEngine:
    """The engine for the checkpoint in `folder`; the log says where it lies only after that was looked at.

    Raises:
        MachineError: the device is not there, the checkpoint does not load, or it is not a Maya1 at all.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # in int8 it warns of a cast at every step
    place = choose_device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)  # Triton's kernels, events and new streams go to the current one
    layout = read_layout(folder)
    config = read_hf_config(folder)
    check_weights(folder, config)
    saved, rows = config.saved, config.vocabulary
    if rows < layout.vocabulary:
        raise MachineError(
            f"{folder}: an embedding of {rows} rows cannot hold the speech codes up to {layout.vocabulary - 1}; "
            "this is not a Maya1 checkpoint"
        )
    if saved is not None and quantization not in ("none", saved):
        raise UsageError(f"{folder} is already quantized as {saved}; leave --quantization {quantization} out")
    scheme = saved or quantization
    format_ = choose_dtype(dtype, place, scheme)
    tokenizer = load_tokenizer(folder)
    with translated_load_errors(folder, "the model"):
        model = _load_model(folder, config, place, format_, quantization)
        _check_placement(model, place, scheme, format_)
        return HfEngine(
            model,
            Prompts(tokenizer, layout, min(CONTEXT, model.config.max_position_embeddings), rows),
            dtype=str(format_).removeprefix("torch."),
            quantization=scheme,
            batch_size=batch_size or ROWS[place.type],
        )


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer at the checkpoint's root, else in its sub-folder `tokenizer/`, where Maya1's repository has it."""
    for place in (folder, folder / "tokenizer"):
        if (place / "tokenizer.json").is_file() or (place / "tokenizer_config.json").is_file():
            _check_sizes(place)
            with translated_load_errors(place, "the tokenizer"):
                # A configuration there would be read for the tokenizer's class, and built with all that it says.
                known = {"config": LlamaConfig()} if (place / "config.json").is_file() else {}
                tokenizer = AutoTokenizer.from_pretrained(
                    place, local_files_only=True, trust_remote_code=False, **known
                )
                tokenizer(["Yes."], add_special_tokens=False)  # some fail only when they are used
                return tokenizer
    raise MachineError(f"{folder}: no tokenizer here nor in tokenizer/; fetch the model again")


def _check_sizes(folder: Path) -> None:
    """Refuse files beside a tokenizer that would fill the memory when transformers reads them."""
    for path in folder.glob("*"):
        if path.suffix in (".json", ".jinja", ".txt", ".model"):
            most = _MOST_VOCABULARY if path.stem.startswith(("tokenizer", "vocab", "merges")) else _MOST_BESIDE
            if path.is_file() and path.stat().st_size > most:
                raise MachineError(f"{path}: more than {most:,} bytes; fetch the model again")


def _load_model(
    folder: Path, config: HfConfig, device: torch.device, dtype: torch.dtype, quantization: str
) -> PreTrainedModel:
    """The model in evaluation mode, from safetensors alone, its code transformers' own."""
    options: dict[str, Any] = {
        "dtype": dtype,
        "local_files_only": True,
        "use_safetensors": True,
        "trust_remote_code": False,
    }
    if device.type == "cuda" or quantization != "none" or config.saved is not None:
        options["device_map"] = {"": device}
    options["config"] = llama = LlamaConfig(**config.arguments)
    if config.saved is not None:
        # from_pretrained ignores a compute dtype for weights saved quantized: it has to stand in their own config.
        if config.saved == "int8":
            llama.quantization_config["llm_int8_threshold"] = INT8_THRESHOLD
        else:
            llama.quantization_config["bnb_4bit_compute_dtype"] = str(dtype).removeprefix("torch.")
    elif quantization == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            # Scales as they are, not quantized once more: that saves a twentieth of the memory and costs a tenth of
            # the time, since every step would first unpack them.
            bnb_4bit_use_double_quant=False,
            bnb_4bit_compute_dtype=dtype,
        )
    elif quantization == "int8":
        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=INT8_THRESHOLD)
    try:
        model, found = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, **options)
    except torch.OutOfMemoryError as error:
        raise MachineError(
            f"{folder}: the model does not fit into the GPU's memory; use --quantization nf4 or a larger card"
        ) from error
    if found["missing_keys"]:
        # transformers would make them up, and say so on the log alone.
        first, count = min(found["missing_keys"]), len(found["missing_keys"])
        raise MachineError(
            f"{folder}: {count} tensors of the model are not in its files, {first} for one; fetch the model again"
        )
    if found["unexpected_keys"]:
        first, count = min(found["unexpected_keys"]), len(found["unexpected_keys"])
        log.warning("%s: %d tensors in the files are not used, %s for one", folder, count, first)
    # The engine says all of it at each call; what a checkpoint's generation_config.json says must not slip in.
    model.generation_config = transformers.GenerationConfig()
    model.eval()
    return model


def _check_placement(model: PreTrainedModel, device: torch.device, scheme: str, dtype: torch.dtype) -> None:
    """Look at the loaded tensors; say on the log what was found, or raise."""
    elsewhere = {str(tensor.device) for tensor in model.parameters() if tensor.device.type != device.type}
    if elsewhere:
        raise MachineError(f"part of the model lies on {', '.join(sorted(elsewhere))} and not on {device}")
    if device.type == "cuda":
        log.info("Loading model on CUDA")
    if scheme == "none":
        return
    import bitsandbytes

    wanted = bitsandbytes.nn.Linear8bitLt if scheme == "int8" else bitsandbytes.nn.Linear4bit
    for name, module in model.named_modules():
        if name.rpartition(".")[2] not in PROJECTIONS:
            continue
        if not isinstance(module, wanted):
            raise MachineError(f"{name} was not quantized as {scheme}")
        if scheme != "int8" and module.compute_dtype != dtype:
            raise MachineError(f"{name} computes in {module.compute_dtype} and not in {dtype}")
        if scheme == "int8" and module.state.threshold != INT8_THRESHOLD:
            raise MachineError(f"{name} looks for inputs over {module.state.threshold} and not over {INT8_THRESHOLD}")
    if device.type == "cuda" and scheme != "int8":
        log.info("Using bitsandbytes 4-bit GPU kernels")


def known_tags(folder: Path) -> tuple[list[str], list[str]]:
    """The emotion tags of the checkpoint in `folder`: those that are one token of its tokenizer, and the others."""
    transformers.utils.logging.set_verbosity_error()
    tokenizer = load_tokenizer(folder)
    tags = read_layout(folder).tags
    known = [tag for tag in tags if is_one_token(tokenizer, f"<{tag}>")]
    return known, [tag for tag in tags if tag not in known]
