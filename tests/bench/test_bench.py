import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from maya_batch.bench.baselines import _forecast
from maya_batch.bench.measured_run import Run
from maya_batch.bench.results import Figures
from maya_batch.bench.workload import DEMO_WORDS, PACE, WORDS, write_book
from maya_batch.book.plan import make_plan
from maya_batch.checkpoint.token_layout import TokenLayout
from maya_batch.manifest import Render
from tests.support.demo import environment, maya

RUN = Run(
    device="A card",
    dtype="bfloat16",
    quantization="none",
    seconds_of_speech=7200.0,
    tokens=590_625.0,
    rows=100.0,
    most_rows=128,
    steps=6000,
    bytes_read=60 * 10**12,
    bandwidth=4e12,
    peak_bytes=2**34,
    planned_bytes=2**34 + 2**30,
    waits=6,
    restarts=2,
    stages={"loading": 9.0, "model": 30.0, "finishing": 6.0, "files": 1.0, "codec and audio": 12.0},
    first_frame=12.34,
)


@pytest.mark.parametrize(("model", "bounds"), [("demo", DEMO_WORDS), ("maya-research/maya1", WORDS)])
def test_the_book_has_rows_of_the_words_it_says_and_is_always_the_same(
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


def test_each_row_of_the_book_is_one_chunk(tmp_path: Path) -> None:
    path = write_book(tmp_path / "a.yaml", 0.2, "demo")
    rows = [row for chapter in json.loads(path.read_text())["chapters"] for row in chapter["text"].split("\n\n")]
    plan = make_plan(path, Render().model_copy(update={"model": "demo"}))
    assert [chunk.text for chunk in plan.chunks()] == rows


def test_the_figures_are_those_of_the_run() -> None:
    figures = Figures.of(RUN, {"padded": {"rows": 64, "tokens_per_s": 1000.0, "x_realtime": 12.2}})
    assert figures.x_realtime == 200.0  # of 36 s, the loading apart
    assert figures.tokens_per_s == pytest.approx(590_625 / 30, abs=0.1)
    assert figures.ms_per_step == 5.0
    assert figures.floor_share == 0.5  # 60 TB at 4 TB/s are 15 of 30 s
    assert (figures.peak_gib, figures.planned_gib) == (16.0, 17.0)
    assert figures.gpu_waited == pytest.approx(0.007)
    table = str(figures)
    assert "against padded (64 rows)              19.7 times its 1000 tokens/s" in table
    assert "A card, bfloat16, quantization none, 2 hours of speech" in table
    assert "peak GPU memory, GiB                 16.00 (17.00 planned)" in table


def test_a_table_of_a_cpu_has_no_gpu_in_it() -> None:
    assert "GPU" in str(Figures.of(RUN, {}))
    assert "GPU" not in str(Figures.of(replace(RUN, peak_bytes=0), {}))


class TimedGenerate:
    """Takes two seconds for the prompts and a tenth for a step, and ten more when it is called first."""

    layout = TokenLayout(drawn_pace=(42, 42))

    def __init__(self) -> None:
        self.prompts: list[list[int]] = []
        self._late = 10.0

    def rows(self, prompts: list[list[int]], most: int, penalty: float, least: int) -> tuple[list[list[int]], float]:
        assert least == most
        self.prompts, late, self._late = prompts, self._late, 0.0
        return [], late + 2 + most / 10


def test_a_padded_batch_of_random_weights_is_timed_halfway_and_paid_until_its_last_row(tmp_path: Path) -> None:
    chunks = list(make_plan(write_book(tmp_path / "a.yaml", 0.05, "maya-research/maya1"), Render()).chunks())
    generate = TimedGenerate()
    tokens, seconds = _forecast(generate, chunks, [[1, 2]] * len(chunks), 1.1)  # type: ignore[arg-type]
    longest = max(len(chunk.text.split()) for chunk in chunks)
    assert tokens == 42 * sum(len(chunk.text.split()) for chunk in chunks)
    assert seconds == pytest.approx(42 * longest / 10)
    assert [len(prompt) for prompt in generate.prompts] == [2 + 21 * longest] * len(chunks)


def test_the_demo_voice_is_measured_and_plans_tell_how_long_they_take(tmp_path: Path) -> None:
    env = environment(XDG_CACHE_HOME=str(tmp_path / "cache"))
    book = write_book(tmp_path / "book.yaml", 0.01, "demo")
    assert "`maya-batch bench` measures it" in maya("plan", book, "--model", "demo", env=env).stderr
    done = maya("bench", "--model", "demo", "--hours", "0.001", "--baseline", "--json", env=env)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert {"device", "rows", "tokens_per_s", "x_realtime", "ms_per_step", "floor_share", "peak_gib"} <= set(figures)
    assert {"loading", "model", "finishing"} <= set(figures["stages"])
    assert set(figures["baselines"]) == {"quick_start", "padded"}
    assert all(baseline["x_realtime"] > 0 for baseline in figures["baselines"].values())
    assert figures["x_realtime"] > 0
    assert figures["start_s"] > figures["stages"]["loading"] > 0
    planned = maya("plan", book, "--model", "demo", "--json", env=env)
    assert json.loads(planned.stdout)["render_minutes"] > 0
    assert "rendering: about" in maya("plan", book, "--model", "demo", env=env).stdout


def test_a_limit_of_gpu_memory_without_a_gpu_is_a_mistake() -> None:
    done = maya("bench", "--model", "demo", "--hours", "0.001", "--gpu-memory", "8", "--device", "cpu")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "--gpu-memory: there is no GPU in use; leave it out"


def test_maya1s_shape_is_measured_on_a_gpu_only() -> None:
    done = maya("bench", "--hours", "0.01", env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == ("a model of Maya1's shape is measured on a GPU; on a CPU use --model demo")
