"""On a GPU, with random weights of Maya1's exact shape: what is loaded where, in which format, and how fast it runs.

Run with `pytest -m gpu -s tests/test_gpu.py`; the figures are printed, and nothing is asserted of a time.
"""

import gc
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
import torch

from maya_batch.manifest import Render
from maya_batch.plan import make_plan
from maya_batch.settings import Machine
from maya_batch.state import book_state
from tests.random_maya import save_random_codec, save_random_maya

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU: random weights of Maya1's shape"),
]

ROWS = 64
FRAMES = (30, 70)
VOICE = "Realistic male voice in the 30s age with american accent. Normal pitch, warm timbre, conversational pacing."


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("maya1")
    started = time.monotonic()
    model = save_random_maya(folder / "model", FRAMES, "cuda")
    codec = save_random_codec(folder / "codec")
    torch.cuda.empty_cache()
    size = sum(path.stat().st_size for path in model.rglob("*")) / 2**30
    print(f"\nrandom checkpoint: {size:.2f} GiB written in {time.monotonic() - started:.0f} s")
    return model, codec


@pytest.fixture
def book(tmp_path: Path) -> Path:
    paragraphs = [f"Row number {n} of the batch goes on and on until it has been said." for n in range(ROWS)]
    manifest = {
        "title": "Random",
        "voices": {"narrator": VOICE},
        "chapters": [{"title": "Noise", "text": "\n\n".join(paragraphs)}],
    }
    path = tmp_path / "book.yaml"
    path.write_text(json.dumps(manifest), encoding="utf-8")
    return path


def render(book: Path, checkpoint: tuple[Path, Path], *flags: str) -> subprocess.CompletedProcess[str]:
    model, codec = checkpoint
    command = [sys.executable, "-m", "maya_batch", "render", str(book), "--model", str(model), "--codec", str(codec)]
    command += ["--device", "cuda", "--decoding", "framed", "--batch-size", str(ROWS), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


@pytest.mark.parametrize(
    ("flags", "dtype", "quantization"),
    [
        (("--dtype", "bfloat16"), "bfloat16", "none"),
        (("--quantization", "nf4"), "bfloat16", "nf4"),
        (("--quantization", "int8"), "float16", "int8"),
    ],
)
def test_a_batch_of_64_becomes_a_wav(
    book: Path, checkpoint: tuple[Path, Path], flags: tuple[str, ...], dtype: str, quantization: str
) -> None:
    done = render(book, checkpoint, *flags)
    print(f"\n{quantization} {dtype}\n{done.stderr}{done.stdout}")
    assert done.returncode == 0
    log = done.stderr.splitlines()
    assert "Loading model on CUDA" in log
    assert ("Using bitsandbytes 4-bit GPU kernels" in log) == (quantization == "nf4")
    assert "Generation started on GPU device 0" in log
    assert any("peak GPU memory" in line for line in log)
    assert not any("Warning" in line for line in log)
    model, codec = (str(path) for path in checkpoint)
    plan = make_plan(book, Render().model_copy(update={"model": model, "codec": codec}))
    state = book_state(plan, Machine())
    assert state.recipe is not None
    assert (state.recipe.dtype, state.recipe.quantization) == (dtype, quantization)
    takes = [state.take(chunk) for chunk in plan.chunks()]
    assert len(takes) == ROWS
    for take in takes:
        assert take is not None
        assert take.finish == "eos"
        assert FRAMES[0] <= len(take.codes) <= FRAMES[1]
    sound, rate = soundfile.read(state.folder / "01-noise.wav")
    spoken = sum(len(take.codes) - 1 for take in takes if take) * plan.layout.frame_samples
    assert rate == 24000
    assert len(sound) > spoken / 2  # trimmed at most, never lost


def test_the_quick_start_loop_beside_a_batch(book: Path, checkpoint: tuple[Path, Path]) -> None:
    """What a person has without this program: one row at a time, the bare string as the prompt, stock sampling."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from maya_batch.engines import Request, Sampling, load_engine

    folder, _ = checkpoint
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, device_map={"": "cuda:0"})
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    prompt = f'<description="{VOICE}"> Hello! This is Maya1 <laugh> the best open source voice AI model.'
    inputs = tokenizer(prompt, return_tensors="pt").to("cuda")
    figures = {}
    for penalty in (1.0, 1.1):
        options = {"do_sample": True, "temperature": 0.4, "top_p": 0.9, "repetition_penalty": penalty}
        model.generate(**inputs, max_new_tokens=100, min_new_tokens=100, **options)
        torch.cuda.synchronize()
        started = time.monotonic()
        made = model.generate(**inputs, max_new_tokens=200, min_new_tokens=200, **options)
        torch.cuda.synchronize()
        figures[penalty] = (made.shape[1] - inputs["input_ids"].shape[1]) / (time.monotonic() - started)
        assert made.shape[1] - inputs["input_ids"].shape[1] == 200
    del model
    torch.cuda.empty_cache()
    engine = load_engine("hf", folder, device="cuda", dtype="bfloat16", quantization="none", batch_size=ROWS)
    requests = [Request(str(n), VOICE, f"Row number {n} goes on and on.", n, 100) for n in range(ROWS)]
    list(engine.generate(requests[:2], Sampling(), "framed"))
    torch.cuda.synchronize()
    started = time.monotonic()
    rows = [row for batch in engine.generate(requests, Sampling(), "framed") for row in batch]
    torch.cuda.synchronize()
    speed = sum(row.codes.size for row in rows) / (time.monotonic() - started)
    for penalty, slow in figures.items():
        ratio = f"{ROWS} rows {speed:.0f} tokens/s, {speed / slow:.1f}x"
        print(f"\nquick start, penalty {penalty}: {slow:.0f} tokens/s; {ratio}")
    assert {row.key for row in rows} == {request.key for request in requests}


def test_a_batch_too_large_for_the_memory_is_halved(checkpoint: tuple[Path, Path]) -> None:
    from maya_batch.engines import Request, Sampling, load_engine

    folder, _ = checkpoint
    rows, frames = 32, 10
    gc.collect()
    torch.cuda.empty_cache()  # the model must not be put into the room an earlier engine left
    engine = load_engine("hf", folder, device="cuda", dtype="bfloat16", quantization="none", batch_size=rows)
    total = torch.cuda.get_device_properties(0).total_memory
    # 32 rows of about 230 positions keep 0.8 GiB of keys and values.
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 0.5 * 2**30) / total)
    try:
        requests = [Request(str(n), VOICE, f"Row number {n} goes on.", n, frames) for n in range(rows)]
        made = [row for batch in engine.generate(requests, Sampling(), "framed") for row in batch]
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    print(f"\n{rows} rows in 0.5 GiB beside the weights: batches of {engine.batch_size}")
    assert {row.key for row in made} == {request.key for request in requests}
    assert all(row.finish == "cap" and len(row.codes) == frames for row in made)
    assert 1 <= engine.batch_size < rows
