"""Loads a checkpoint onto a device, quantized or not, and checks the result against the request."""

import logging
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    BitsAndBytesConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from maya_batch.checkpoint.hf_config import CONTEXT, HfConfig, read_hf_config
from maya_batch.checkpoint.token_layout import read_layout
from maya_batch.checkpoint.weights_header import check_weights
from maya_batch.engine.batch_budget import default_batch_size
from maya_batch.engine.device import choose_device, choose_dtype
from maya_batch.engine.hf_engine import HfEngine
from maya_batch.engine.hf_tokenizer import load_hf_tokenizer
from maya_batch.engine.kernels import fp8_linear
from maya_batch.engine.prompts import Prompts
from maya_batch.errors import MachineError, UsageError
from maya_batch.messages.plural import plural
from maya_batch.torch_errors import translated_load_errors

log = logging.getLogger(__name__)

#: Inputs of an int8 product above this stay in float16; 0 turns that off. Finding them needs the host at each product,
#: so no frame could be a CUDA graph. The gain is small: on the demo voice, half of whose products have inputs above the
#: usual 6 and up to 759, the Kullback-Leibler divergence from float32 is 0.00033 nats a token without it and 0.00024
#: with it; that of nf4 is 0.015.
INT8_THRESHOLD = 0.0

#: The projections of a Llama layer, which quantization must replace.
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def load_hf_engine(
    folder: Path,
    *,
    device: str,
    dtype: str,
    quantization: str,
    batch_size: int | None,
    kv_cache: str = "auto",
    weights: dict[str, torch.Tensor] | None = None,
) -> HfEngine:
    """Load the engine for the checkpoint in `folder`. The log names the device only after a check.

    `kv_cache` is the format of keys and values: `int8`, or `model`, the one that the model computes in. `auto` begins
    with `model`; a caller may try `int8`. `weights` that were read before are not read from the folder;
    they are taken out of the dictionary.

    Raises:
        MachineError: the device does not exist, the checkpoint does not load, or it is not a Maya1 checkpoint.
        UsageError: there is no device of this name, or the checkpoint is already quantized in another way.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # in int8 it warns of a cast at every step
    target = choose_device(device)
    if target.type == "cuda":
        torch.cuda.set_device(target)  # Triton's kernels, events and new streams go to the current one
        # bitsandbytes quantizes on the default stream, whichever stream is current.
        torch.cuda.set_stream(torch.cuda.default_stream(target))
    layout = read_layout(folder)
    config = read_hf_config(folder)
    check_weights(folder, config)
    saved, vocabulary = config.saved, config.vocabulary
    if vocabulary < layout.vocabulary:
        raise MachineError(
            f"{folder}: the embedding has {vocabulary} rows, too few for speech codes up to {layout.vocabulary - 1}; "
            "this is not a Maya1 checkpoint"
        )
    if saved is not None and quantization not in ("none", saved):
        raise UsageError(f"{folder} is already quantized as {saved}; drop --quantization {quantization}")
    scheme = saved or quantization
    format_ = choose_dtype(dtype, target, scheme)
    if scheme == "fp8":
        _check_fp8(target, format_)
    tokenizer = load_hf_tokenizer(folder)
    early = bool(weights)
    with translated_load_errors(folder, "the model"):
        model = _load_model(folder, config, target, format_, quantization, weights)
        _check_placement(model, target, scheme, format_)
        engine = HfEngine(
            model,
            Prompts(tokenizer, layout, min(CONTEXT, model.config.max_position_embeddings), vocabulary),
            dtype=str(format_).removeprefix("torch."),
            quantization=scheme,
            batch_size=batch_size or default_batch_size(target, scheme),
            kv_cache="int8" if kv_cache == "int8" else "model",
        )
        if target.type == "cuda":
            torch.cuda.synchronize(target)  # frames are computed on another stream
            if early:
                # Room for the weights was held twice because it was free; a run does not need it.
                torch.cuda.reset_peak_memory_stats(target)
        return engine


def _load_model(
    folder: Path,
    config: HfConfig,
    device: torch.device,
    dtype: torch.dtype,
    quantization: str,
    weights: dict[str, torch.Tensor] | None,
) -> PreTrainedModel:
    """Load the model in evaluation mode, from safetensors only, with transformers' own code."""
    options: dict[str, Any] = {
        "dtype": dtype,
        "local_files_only": True,
        "use_safetensors": True,
        "trust_remote_code": False,
    }
    if quantization == "fp8":
        options["device_map"] = {"": "cpu"}  # in 16 bits it may not fit into the GPU's memory
    elif device.type == "cuda" or quantization != "none" or config.saved is not None:
        options["device_map"] = {"": device}
    options["config"] = llama = LlamaConfig(**config.arguments)
    if config.saved is not None:
        # from_pretrained ignores a compute dtype for weights saved quantized; it is set in their own config.
        if config.saved == "int8":
            llama.quantization_config["llm_int8_threshold"] = INT8_THRESHOLD
        else:
            llama.quantization_config["bnb_4bit_compute_dtype"] = str(dtype).removeprefix("torch.")
    elif quantization == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            # Quantized scales would save a twentieth of the memory and cost a tenth of the time, because every step
            # unpacks them first.
            bnb_4bit_use_double_quant=False,
            bnb_4bit_compute_dtype=dtype,
        )
    elif quantization == "int8":
        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=INT8_THRESHOLD)
    try:
        if weights:
            # Copied: each is a part of a tensor, all of which it would keep. Those are freed on the way.
            options["state_dict"] = {name: weights.pop(name).clone() for name in list(weights)}
        source = None if "state_dict" in options else folder
        model, found = LlamaForCausalLM.from_pretrained(source, output_loading_info=True, **options)
        if quantization == "fp8":
            fp8_linear.quantize(model, device)
    except torch.OutOfMemoryError as error:
        raise MachineError(
            f"{folder}: the model does not fit into GPU memory; use --quantization nf4 or a GPU with more memory"
        ) from error
    if found["missing_keys"]:
        # transformers initializes them at random, and only logs it.
        first, tensors = min(found["missing_keys"]), plural(len(found["missing_keys"]), "tensor")
        raise MachineError(
            f"{folder}: the files lack {tensors} of the model, for example {first}; fetch the model again"
        )
    if found["unexpected_keys"]:
        first, tensors = min(found["unexpected_keys"]), plural(len(found["unexpected_keys"]), "tensor")
        log.warning("%s: the model does not use %s of the files, for example %s", folder, tensors, first)
    # The engine sets all options at each call; a checkpoint's generation_config.json must not apply.
    model.generation_config = transformers.GenerationConfig()
    model.eval()
    return model


def _check_fp8(device: torch.device, dtype: torch.dtype) -> None:
    """Refuse a device without products in FP8, and a number format that they are not made for."""
    if device.type != "cuda" or torch.version.hip or torch.cuda.get_device_capability(device) < fp8_linear.CAPABILITY:
        raise UsageError(
            "quantization fp8 needs an NVIDIA GPU of the RTX 40 series, an H100, or a newer one; use nf4, int8 or none"
        )
    if dtype != torch.bfloat16:
        raise UsageError(
            f"quantization fp8 computes in bfloat16, not in {str(dtype).removeprefix('torch.')}; drop --dtype"
        )


def _check_placement(model: PreTrainedModel, device: torch.device, scheme: str, dtype: torch.dtype) -> None:
    """Check the device and the quantization of the loaded tensors; log them, or raise MachineError."""
    elsewhere = {str(tensor.device) for tensor in model.parameters() if tensor.device.type != device.type}
    if elsewhere:
        raise MachineError(f"part of the model is on {', '.join(sorted(elsewhere))} instead of {device}")
    if device.type == "cuda":
        log.info("Loading model on CUDA")
    if scheme == "none":
        return
    wanted: Any
    if scheme == "fp8":
        wanted = fp8_linear.Fp8Linear
    else:
        import bitsandbytes

        wanted = bitsandbytes.nn.Linear8bitLt if scheme == "int8" else bitsandbytes.nn.Linear4bit
    for name, module in model.named_modules():
        if name.rpartition(".")[2] not in PROJECTIONS:
            continue
        if not isinstance(module, wanted):
            raise MachineError(f"{name} is not quantized as {scheme}")
        if scheme in ("nf4", "fp4") and module.compute_dtype != dtype:
            raise MachineError(f"{name} computes in {module.compute_dtype} instead of {dtype}")
        if scheme == "int8" and module.state.threshold != INT8_THRESHOLD:
            raise MachineError(f"{name} has an int8 threshold of {module.state.threshold} instead of {INT8_THRESHOLD}")
    if device.type == "cuda" and scheme in ("nf4", "fp4"):
        log.info("Using bitsandbytes 4-bit GPU kernels")
