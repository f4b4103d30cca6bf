"""Bring the GPU up beside the imports: the first use of CUDA, and the kernels' compiling, take seconds of their own."""

import logging
from pathlib import Path

import torch

from maya_batch.checkpoint.hf_config import read_hf_config
from maya_batch.engine.device import choose_device, choose_dtype

log = logging.getLogger(__name__)


def warm_up(folder: Path, device: str, dtype: str, quantization: str) -> None:
    """Start CUDA and compile the kernels for the model in `folder`.

    What goes wrong is left to whoever needs it: then it is an error, or said on the log.
    """
    try:
        place = choose_device(device)
        if place.type != "cuda":
            return
        config = read_hf_config(folder)
        torch.cuda.set_device(place)  # of this thread: Triton's kernels go to the current one
        square = torch.ones(16, 16, dtype=choose_dtype(dtype, place, quantization), device=place)
        torch.mm(square, square)
        if square.dtype in (torch.float16, torch.bfloat16):
            # Nothing that imports transformers or bitsandbytes: another thread is importing them.
            from maya_batch.engine.kernels import nf4_matmul, triton_kernels

            triton_kernels.compile_for(config.heads, config.kv_heads, config.head_dim, square.dtype, place)
            if quantization == "nf4":
                nf4_matmul.compile_for(nf4_matmul.NF4, square.dtype, place)
    except Exception as error:
        log.debug("the GPU is not warm yet: %s", error)
