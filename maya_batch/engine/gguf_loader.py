"""Loads a GGUF file with llama.cpp, after our own reader has checked it."""

import logging
from pathlib import Path

import torch

from maya_batch.checkpoint.gguf_config import GgufConfig, read_gguf_config
from maya_batch.checkpoint.gguf_file import read_gguf
from maya_batch.checkpoint.hf_config import CONTEXT
from maya_batch.checkpoint.token_layout import read_layout
from maya_batch.engine.ggml_devices import choose_ggml_device, cuda_build_hint, ggml_devices
from maya_batch.engine.gguf_engine import GgufEngine, Placement
from maya_batch.engine.gguf_memory import BATCH_SIZES, check_model_fits, layers_on_gpu
from maya_batch.engine.gguf_tokenizer import load_gguf_tokenizer
from maya_batch.engine.llama_library import llama_library
from maya_batch.engine.llama_model import LlamaModel
from maya_batch.engine.prompts import Prompts
from maya_batch.errors import MachineError, UsageError

log = logging.getLogger(__name__)


def load_gguf_engine(
    path: Path, *, device: str, dtype: str, quantization: str, batch_size: int | None, kv_cache: str = "auto"
) -> GgufEngine:
    """Load the engine for a GGUF file. What llama.cpp would not survive does not reach it.

    Raises:
        MachineError: llama.cpp is not installed or has no such device, or the file is not one of a Maya1 model.
        UsageError: a number format or a quantization other than the file's was asked for.
    """
    file = read_gguf(path)
    config, layout = read_gguf_config(file), read_layout(path)
    check_number_format(path, config, dtype, quantization, kv_cache)
    if config.vocabulary < layout.vocabulary:
        raise MachineError(
            f"{path}: the embedding has {config.vocabulary} rows, too few for speech codes up to "
            f"{layout.vocabulary - 1}; this is not a Maya1 model"
        )
    library = llama_library()
    chosen = choose_ggml_device(library, device)
    threads = torch.get_num_threads()
    if chosen is None:
        check_model_fits(path, config)
        if torch.cuda.is_available() and device == "auto" and not any(one.is_gpu for one in ggml_devices(library)):
            log.warning("this build of llama.cpp cannot use the GPU; compile it for one with `%s`", cuda_build_hint())
        model, placement = LlamaModel(path, gpu_layers=0), Placement(threads)
    else:
        number, gpu = chosen
        layers = layers_on_gpu(file, config, gpu.free)
        model, placement = LlamaModel(path, gpu_layers=layers, main_gpu=number), Placement(threads, gpu)
        log.info("%s: %d of %d layers of the model", gpu.description, min(layers, config.layers), config.layers)
    tokenizer = load_gguf_tokenizer(file, layout, model)
    prompts = Prompts(tokenizer, layout, min(CONTEXT, config.context), config.vocabulary)
    return GgufEngine(model, config, prompts, placement, batch_size or BATCH_SIZES["cpu" if chosen is None else "gpu"])


def check_number_format(path: Path, config: GgufConfig, dtype: str, quantization: str, kv_cache: str = "auto") -> None:
    """Raise a UsageError if another number format or quantization than that of the file was asked for, or a KV cache in
    8 bits.
    """
    if dtype not in ("auto", GgufEngine.dtype):
        raise UsageError(f"a GGUF file has its own number format; remove --dtype {dtype}")
    if quantization not in ("none", config.file_type):
        raise UsageError(f"{path} is stored as {config.file_type}; remove --quantization {quantization}")
    if kv_cache == "int8":
        raise UsageError(f"{path}: llama.cpp keeps keys and values in 16 or 32 bits; remove --kv-cache int8")
