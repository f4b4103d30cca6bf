"""vLLM as the bench measures it; here a stand-in for its package."""

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from maya_batch.bench import Options, _vllm, vllm_baseline
from maya_batch.bench.drawn_lengths import drawn_frames
from maya_batch.bench.workload import write_book
from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.checkpoint.locate import DEMO
from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.errors import MachineError
from maya_batch.manifest import Render
from tests.bench.test_bench import RUN

DEMO_FLAGS = Render().model_copy(update={"model": DEMO, "codec": DEMO})


class FakeVllm(ModuleType):
    """The two classes of vLLM that are used; every sequence has as many tokens as it may have."""

    def __init__(self) -> None:
        super().__init__("vllm")
        self.options: dict[str, Any] = {}
        self.calls: list[list[tuple[list[int], Any]]] = []
        self.failure: Exception | None = None
        self.SamplingParams = SimpleNamespace
        self.LLM = self.load

    def load(self, **options: Any) -> "FakeVllm":
        if self.failure is not None:
            raise self.failure
        self.options = options
        return self

    def generate(self, prompts: list[dict[str, list[int]]], params: list[Any], use_tqdm: bool) -> list[Any]:
        assert not use_tqdm
        asked = [(one["prompt_token_ids"], each) for one, each in zip(prompts, params, strict=True)]
        self.calls.append(asked)
        return [SimpleNamespace(outputs=[SimpleNamespace(token_ids=[0] * each.max_tokens)]) for _, each in asked]


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> FakeVllm:
    fake = FakeVllm()
    monkeypatch.setitem(sys.modules, "vllm", fake)
    for name in ("VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_NO_USAGE_STATS", "HF_HUB_OFFLINE", "VLLM_LOGGING_LEVEL"):
        monkeypatch.setenv(name, "0")  # set back afterwards
    return fake


@pytest.mark.parametrize("random_weights", [True, False])
def test_vllm_is_given_the_texts_of_the_book_the_longest_first(
    random_weights: bool, vllm: FakeVllm, tmp_path: Path
) -> None:
    book = write_book(tmp_path / "book.yaml", 0.01, DEMO)
    chunks = list(make_plan(book, DEMO_FLAGS).chunks())
    found = vllm_baseline.measure(book, DEMO_FLAGS, "bfloat16", "model", None, random_weights)
    warm, timed = vllm.calls
    lengths = [params.max_tokens for _, params in timed]
    wanted = [
        (drawn_frames(number, chunk.text) if random_weights else chunk.max_frames) * SLOTS
        for number, chunk in enumerate(chunks)
    ]
    assert lengths == sorted(wanted, reverse=True)
    assert [params.min_tokens for _, params in timed] == (lengths if random_weights else [0] * len(lengths))
    assert {params.ignore_eos for _, params in timed} == {random_weights}
    assert {len(params.stop_token_ids) for _, params in timed} == {int(not random_weights)}
    assert {(params.temperature, params.top_p, params.repetition_penalty) for _, params in timed} == {(0.4, 0.9, 1.0)}
    assert len({tuple(prompt) for prompt, _ in timed}) == len({chunk.text for chunk in chunks})
    assert 0 < len(warm) <= 32
    assert found["vllm"]["rows"] == len(chunks)
    assert found["vllm"]["tokens_per_s"] > 0
    assert vllm.options["max_model_len"] > max(lengths)


@pytest.mark.parametrize(("ours", "theirs", "most"), [("model", "auto", 512), ("int8", "fp8", 768)])
def test_its_cache_has_8_bits_where_ours_has(ours: str, theirs: str, most: int, vllm: FakeVllm, tmp_path: Path) -> None:
    vllm_baseline.measure(write_book(tmp_path / "book.yaml", 0.001, DEMO), DEMO_FLAGS, "float16", ours, None, True)
    assert (vllm.options["kv_cache_dtype"], vllm.options["max_num_seqs"]) == (theirs, most)
    assert vllm.options["dtype"] == "float16"


def test_what_vllm_raises_is_one_line(vllm: FakeVllm, tmp_path: Path) -> None:
    vllm.failure = ValueError("No available memory for the cache blocks.\nTry more.")
    with pytest.raises(MachineError, match=r"^vLLM is not measured, it failed: No available memory for the cache b.*$"):
        vllm_baseline.measure(
            write_book(tmp_path / "book.yaml", 0.001, DEMO), DEMO_FLAGS, "float16", "model", None, True
        )


@pytest.mark.parametrize(
    ("run", "line"),
    [
        (RUN, "vLLM is not measured, because it is not installed; `pip install vllm` (it may want another PyTorch)"),
        (
            replace(RUN, quantization="nf4"),
            "vLLM is not measured: it is for weights that are not quantized, and these are nf4",
        ),
        (replace(RUN, peak_bytes=0), None),
    ],
)
def test_where_vllm_is_not_measured_one_line_says_why(run: Any, line: str | None, tmp_path: Path) -> None:
    said: list[str] = []
    assert not vllm_baseline.is_installed()
    assert _vllm(tmp_path / "book.yaml", DEMO_FLAGS, Options(1, Machine()), run, said.append) == {}
    assert said == ([] if line is None else [line])
