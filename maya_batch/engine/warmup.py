"""Warms up the GPU while another thread imports: starting CUDA and compiling the kernels take seconds."""

import logging
from pathlib import Path

import torch

from maya_batch.checkpoint.hf_config import read_hf_config
from maya_batch.engine.device import choose_device, choose_dtype

log = logging.getLogger(__name__)


def warm_up(folder: Path, device: str, dtype: str, quantization: str, kv_cache: str) -> None:
    """Start CUDA and compile the kernels for the model in `folder`.

    Errors are ignored: they occur again at the first use of the GPU, which raises or logs them.
    """
    try:
        gpu = choose_device(device)
        if gpu.type != "cuda":
            return
        config = read_hf_config(folder)
        torch.cuda.set_device(gpu)  # for this thread: Triton's kernels run on the current device
        square = torch.ones(16, 16, dtype=choose_dtype(dtype, gpu, quantization), device=gpu)
        torch.mm(square, square)
        if square.dtype in (torch.float16, torch.bfloat16):
            # These import neither transformers nor bitsandbytes, which another thread is importing.
            from maya_batch.engine.kernels import int8_attention, nf4_matmul
            from maya_batch.engine.kernels.compilation import compile_kernels

            shape = (config.heads, config.kv_heads, config.head_dim, square.dtype, gpu)
            compile_kernels(config.hidden, *shape, form={"fp8": "fp8", "nf4": "int8"}.get(quantization, "plain"))
            if kv_cache != "model":
                int8_attention.compile_for(*shape)
            if quantization == "nf4" and nf4_matmul.is_fast_on(gpu):
                nf4_matmul.compile_for(square.dtype, gpu)
    except Exception as error:
        log.debug("the warm-up of the GPU failed: %s", error)
