"""Compiles the GPU kernels that every model takes, ahead of their use: in a graph, nothing can be compiled."""

import torch


def compile_kernels(
    hidden: int, heads: int, kv_heads: int, head_dim: int, dtype: torch.dtype, device: torch.device, form: str
) -> None:
    """Compile them for a model's shape by running them once; errors are raised.

    `form` is that of the tokens that weights multiply, as `row_kernels` names them.

    Triton caches the result on disk, so only the first run waits, for some seconds. Neither transformers nor
    bitsandbytes is imported, which another thread may be importing.
    """
    from maya_batch.engine.kernels import draw_kernel, prompt_kernel, row_kernels, triton_kernels

    triton_kernels.compile_for(heads, kv_heads, head_dim, dtype, device)
    prompt_kernel.compile_for(heads, kv_heads, head_dim, dtype, device)
    row_kernels.compile_for(hidden, dtype, device, form)
    draw_kernel.compile_for(dtype, device)
