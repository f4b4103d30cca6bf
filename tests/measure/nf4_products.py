"""How long the four products of a layer of Maya1's shape take with nf4 weights, beside bitsandbytes and the memory.

    python -m tests.measure.nf4_products

Needs a GPU. Ten layers run one after the other in a CUDA graph, so that no weight is in the GPU's own cache. The floor
is the time that their bytes take at the bandwidth of a copy, whose reading and writing count.

Then a large matrix is multiplied as on an RTX 4060: in the blocks of threads that it would get, and in as much shared
memory of each multiprocessor. That tells how fast a multiprocessor unpacks and multiplies, whatever the memory's speed.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import bitsandbytes
import torch

from maya_batch.engine.kernels.cuda_kernel import CudaKernel
from maya_batch.engine.kernels.int8_tokens import BLOCK, COUNTS, Int8Tokens, quantized
from maya_batch.engine.kernels.nf4_matmul import PackedWeight, _code, compile_for, shape_for

#: Rows and widths: query, key and value; output; gate and up; down.
SHAPES = ((5120, 3072), (3072, 3072), (16384, 3072), (3072, 8192))
LAYERS = 10

#: Of an RTX 4060: multiprocessors, shared memory of a block and of a multiprocessor, and what a block needs besides.
PROCESSORS, BLOCK_BYTES, PROCESSOR_BYTES, OVERHEAD = 24, 101376, 102400, 1024


def microseconds(run: Callable[[], object]) -> float:
    """The median time of 15 replays of a captured graph."""
    stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream):
        run()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph, stream=stream):
            run()
    times: list[float] = []
    for _ in range(18):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) * 1000)
    return sorted(times[3:])[7]


def layer_weights() -> tuple[list[torch.nn.Module], list[PackedWeight]]:
    """The same random weights as modules of bitsandbytes and packed."""
    modules = []
    for rows, width in SHAPES:
        module = bitsandbytes.nn.Linear4bit(width, rows, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4")
        weight = torch.randn(rows, width, device="cuda", dtype=torch.bfloat16)
        module.weight = bitsandbytes.nn.Params4bit(weight, quant_type="nf4", compress_statistics=False)
        modules.append(module.cuda())
    return modules, [PackedWeight.of([module]) for module in modules]


def print_small_card() -> None:
    """A line for each number of tokens, as on an RTX 4060."""
    device = torch.device("cuda", 0)
    card: Any = torch.cuda.get_device_properties(device)
    rows, width = 512 * card.multi_processor_count, SHAPES[0][1]
    packed = torch.randint(0, 256, (rows, width // 2), dtype=torch.uint8, device=device)
    scales, capability = torch.rand(rows, width // 64, device=device), torch.cuda.get_device_capability(device)
    for count in COUNTS:
        shape = shape_for(rows, count, PROCESSORS, BLOCK_BYTES, PROCESSOR_BYTES)
        blocks = PROCESSOR_BYTES // (shape.shared_bytes(count) + OVERHEAD)
        shared = card.shared_memory_per_multiprocessor // blocks - OVERHEAD
        code = _code(shape, count, torch.bfloat16, capability)
        kernel = CudaKernel(code, "nf4_matmul", shape.threads, min(shared, card.shared_memory_per_block_optin), device)
        tokens = quantized(torch.randn(count, width, device=device))
        out = torch.empty(count, rows, dtype=torch.bfloat16, device=device)
        arguments = (packed, scales, tokens.values, tokens.scales, 0, 0, 0, 0, out, count, rows, width // BLOCK)
        time = microseconds(partial(kernel.run, rows // shape.rows, arguments))
        rate = rows * width / time / card.multi_processor_count
        print(f"{count} tokens, {shape}, {blocks} blocks: {rate / 1e3:.1f} weights/ns a multiprocessor", flush=True)


@torch.inference_mode()
def main() -> None:
    """Print a line for each number of tokens."""
    compile_for(torch.bfloat16, torch.device("cuda", 0))
    layers = [layer_weights() for _ in range(LAYERS)]
    numbers = torch.rand(1 << 28, device="cuda")
    copied = torch.empty_like(numbers)
    bandwidth = 8 * numbers.numel() / microseconds(lambda: torch.add(numbers, 1, out=copied))
    floor = sum(rows * width * (1 / 2 + 4 / 64) for rows, width in SHAPES) / bandwidth
    print(f"{torch.cuda.get_device_name()}, {bandwidth / 1e6:.2f} TB/s, floor {floor:.1f} us")
    for count in COUNTS:
        plain = [torch.randn(count, width, device="cuda", dtype=torch.bfloat16) for _, width in SHAPES]
        tokens = [quantized(each) for each in plain]

        def here(tokens: list[Int8Tokens] = tokens) -> None:
            for _, weights in layers:
                for weight, each in zip(weights, tokens, strict=True):
                    weight.times(each)

        def there(plain: list[torch.Tensor] = plain) -> None:
            for modules, _ in layers:
                for module, each in zip(modules, plain, strict=True):
                    module(each)

        def one(at: int, tokens: list[Int8Tokens] = tokens) -> None:
            for _, weights in layers:
                weights[at].times(tokens[at])

        runs: list[Callable[[], None]] = [here, there, *(partial(one, at) for at in range(len(SHAPES)))]
        mine, theirs, *each = (microseconds(run) / LAYERS for run in runs)
        print(
            f"{count} tokens: {mine:.1f} us, {floor / mine:.2f} of the floor; bitsandbytes {theirs:.1f}; "
            f"each {', '.join(f'{time:.1f}' for time in each)}",
            flush=True,
        )
    print_small_card()


if __name__ == "__main__":
    main()
