import json
import pickle
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import bitsandbytes
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PrefixConstrainedLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from maya_batch.audio.snac_codec import load_codec
from maya_batch.checkpoint.token_layout import MIN_FRAMES, SLOTS, Codes, read_layout
from maya_batch.engine.api import Decoding, Generation, Hooks, Request, Sampling
from maya_batch.engine.hf_engine import HfEngine
from maya_batch.engine.hf_loader import PROJECTIONS
from maya_batch.engine.hf_tokenizer import load_hf_tokenizer
from maya_batch.engine.load import load_engine
from maya_batch.engine.sampling import random_numbers
from maya_batch.errors import MachineError, UsageError
from tests.support.demo import CHECKPOINT, CODEC, FEMALE, MALE, ROOT, environment, load_demo, maya, write_book

GREEDY = Sampling(temperature=0, top_p=1, repetition_penalty=1)
SAMPLED = Sampling(temperature=0.4, top_p=0.9, repetition_penalty=1.1)
TEXTS = ["Yes.", "Come in.", "No!", "He ran.", "<sigh> Well.", "Who?", "Go on.", "Stop now."]
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
SHARD = "model-00002-of-00002.safetensors"


def requests(frames: int = 70) -> list[Request]:
    """Eight prompts, no two of the same length."""
    long = f"{MALE} Slow pacing."
    voices = [FEMALE, MALE, "Female.", FEMALE, long, "Male voice.", MALE, FEMALE]
    rows = zip(voices, TEXTS, strict=True)
    return [Request(text, voice, text, 100 + number, frames) for number, (voice, text) in enumerate(rows)]


def generate(engine: HfEngine, asked: list[Request], sampling: Sampling = GREEDY) -> dict[str, Generation]:
    rows = [row for rows in engine.generate(asked, sampling, "framed") for row in rows]
    assert len(rows) == len(asked)
    return {row.key: row for row in rows}


def same(one: Generation, other: Generation) -> bool:
    return (one.key, one.finish) == (other.key, other.finish) and np.array_equal(one.codes, other.codes)


@pytest.fixture(scope="module")
def greedy(engine: HfEngine) -> dict[str, Generation]:
    return generate(engine, requests())


@pytest.fixture(scope="module")
def sampled(engine: HfEngine) -> dict[str, Generation]:
    return generate(engine, requests(), SAMPLED)


@pytest.mark.soak  # test_contract shows it of other sequences
def test_a_padded_batch_is_as_good_as_single_sequences(engine: HfEngine, sampled: dict[str, Generation]) -> None:
    lengths = {len(engine.prompts.encode(request.description, request.text)) for request in requests()}
    assert len(lengths) == len(TEXTS)
    assert {row.finish for row in sampled.values()} == {"eos"}
    for request in requests()[1::3]:
        assert same(generate(engine, [request], SAMPLED)[request.key], sampled[request.key])


def plain_generate(engine: HfEngine, request: Request, choose: LogitsProcessor | None = None) -> list[int]:
    """The tokens of transformers, one unpadded prompt, told by a function which ones a frame allows."""
    layout = engine.layout
    bands = [list(range(layout.slot_start(slot), layout.slot_start(slot + 1))) for slot in range(SLOTS)]
    prompt = torch.tensor([engine.prompts.encode(request.description, request.text)])

    def allowed(_row: int, ids: torch.Tensor) -> list[int]:
        frame, slot = divmod(len(ids) - prompt.shape[1], SLOTS)
        return [*bands[slot], layout.eos] if slot == 0 and frame >= 4 else bands[slot]

    config = GenerationConfig(do_sample=False, max_new_tokens=500, eos_token_id=layout.eos, pad_token_id=layout.pad)
    processors = [PrefixConstrainedLogitsProcessor(allowed, 1), *([choose] if choose else [])]
    with torch.inference_mode():
        output = engine.model.generate(
            prompt, generation_config=config, logits_processor=LogitsProcessorList(processors)
        )
    tokens: list[int] = output[0, prompt.shape[1] :].tolist()
    return tokens


#: Two of eight are enough in CI: plain generation decodes one sequence after the other.
COMPARED = [slice(0, 2), pytest.param(slice(2, 8), marks=pytest.mark.soak)]


@pytest.mark.parametrize("rows", COMPARED)
def test_greedy_sequences_are_those_of_plain_generate(
    rows: slice, engine: HfEngine, greedy: dict[str, Generation]
) -> None:
    for request in requests()[rows]:
        tokens = plain_generate(engine, request)
        assert tokens[-1] == engine.layout.eos
        assert greedy[request.key].finish == "eos"
        assert np.array_equal(greedy[request.key].codes, engine.layout.frames(tokens[:-1]))


class DrawByNumbers(LogitsProcessor):  # type: ignore[misc]
    """Transformers' penalty over the speech so far, its temperature and its nucleus; then the first token, from the
    most probable down, with which the sum of probabilities exceeds the sequence's next number.
    """

    def __init__(self, sampling: Sampling, seed: int, prompt_length: int) -> None:
        self.prompt_length = prompt_length
        self.numbers = random_numbers(seed, 500)
        self.penalty = RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)
        self.warpers = [TemperatureLogitsWarper(sampling.temperature), TopPLogitsWarper(sampling.top_p)]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        spoken = input_ids[:, self.prompt_length :]
        scores = self.penalty(spoken, scores.double())
        for warper in self.warpers:
            scores = warper(spoken, scores)
        probabilities, order = scores[0].softmax(dim=-1).sort(descending=True)
        number = float(self.numbers[spoken.shape[1]])
        token = order[int((probabilities.cumsum(dim=-1) <= number).sum())]
        return torch.full_like(scores, -torch.inf).index_fill_(1, token, 0.0)


@pytest.mark.parametrize("rows", COMPARED)
def test_sampled_sequences_are_those_of_plain_generate(
    rows: slice, engine: HfEngine, sampled: dict[str, Generation]
) -> None:
    """With the addition that draws from the sequence's random numbers."""
    for request in requests()[rows]:
        prompt = engine.prompts.encode(request.description, request.text)
        tokens = plain_generate(engine, request, DrawByNumbers(SAMPLED, request.seed, len(prompt)))
        assert tokens[-1] == engine.layout.eos
        assert np.array_equal(sampled[request.key].codes, engine.layout.frames(tokens[:-1]))


def test_the_prompt_is_that_of_maya1(engine: HfEngine) -> None:
    layout = engine.layout
    ids = engine.prompts.encode(FEMALE, "Well, <sigh> there it is.")
    assert ids[:2] == [layout.soh, layout.bos]
    assert ids[-4:] == [layout.eot, layout.eoh, layout.soa, layout.sos]
    text = load_hf_tokenizer(CHECKPOINT).tokenizer.decode(ids[2:-4])
    assert text == f'<description="{FEMALE}"> Well, <sigh> there it is.'.lower()
    assert engine.prompts.tokenizer.known("<sigh>") in ids


def test_a_sequence_is_limited_by_its_own_frames(engine: HfEngine, greedy: dict[str, Generation]) -> None:
    """One frame too few cuts a sequence off, which its finish tells; EOS can come right behind the last frame."""
    rows = requests()
    fits, cut, least = rows[0], rows[3], rows[5]
    asked = [
        replace(fits, max_frames=len(greedy[fits.key].codes)),
        replace(cut, max_frames=len(greedy[cut.key].codes) - 1),
        replace(least, max_frames=MIN_FRAMES),
        rows[6],
    ]
    found = generate(engine, asked)
    assert same(found[fits.key], greedy[fits.key])
    assert found[cut.key].finish == found[least.key].finish == "cap"
    assert np.array_equal(found[cut.key].codes, greedy[cut.key].codes[:-1])
    assert np.array_equal(found[least.key].codes, greedy[least.key].codes[:MIN_FRAMES])
    assert same(found[rows[6].key], greedy[rows[6].key])


@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_more_requests_than_a_batch_holds(
    decoding: Decoding, engine: HfEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are begun in the order given, and none is lost."""
    monkeypatch.setattr(engine, "batch_size", 3)
    batches = list(engine.generate(requests(MIN_FRAMES), GREEDY, decoding))
    assert [[row.key for row in rows] for rows in batches] == [TEXTS[:3], TEXTS[3:6], TEXTS[6:]]
    assert all(len(row.codes) == MIN_FRAMES for rows in batches for row in rows)


def test_a_prompt_that_leaves_no_room_is_refused(engine: HfEngine) -> None:
    with pytest.raises(MachineError, match=r"do not fit the model's context of 4096.*lower render.max_tokens"):
        generate(engine, [Request("1", FEMALE, "Yes.", 1, 4096 // SLOTS)])


def test_codes_in_a_text_are_refused(engine: HfEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer whose ids overlap with the layout's would turn words into sound or an end."""
    monkeypatch.setattr(engine.prompts, "layout", replace(engine.layout, code_offset=50, eos=1500))
    with pytest.raises(MachineError, match="not text"):
        engine.prompts.encode(FEMALE, "Yes.")


def test_the_demo_voice_knows_its_tags(engine: HfEngine) -> None:
    assert engine.tags() == read_layout(CHECKPOINT).tags
    assert {"laugh", "sigh", "singing"} <= set(engine.tags())


def test_no_library_says_a_word_in_this_process(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        engine = load_demo()
        generate(engine, requests(MIN_FRAMES))
        load_codec(CODEC, engine.layout, engine.device).decode(np.zeros((4, SLOTS), np.uint16), 1)
    assert [str(warning.message) for warning in warned] == []
    assert caplog.records == []


def test_no_library_says_a_word_on_the_terminal() -> None:
    """A process of its own: transformers' messages pass by the logging of tests."""
    program = """
from tests.support.demo import FEMALE, load_demo
from maya_batch.engine.api import Request, Sampling
for quantization in ("none", "nf4", "int8"):
    engine = load_demo(quantization=quantization)
    rows = [Request(str(row), FEMALE, "Yes.", row, 5) for row in range(2)]
    print(sum(len(rows) for rows in engine.generate(rows, Sampling(), "framed")))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=300
    )
    assert (done.stderr, done.stdout) == ("", "2\n2\n2\n")


def projections(engine: HfEngine) -> list[Any]:
    found = [module for name, module in engine.model.named_modules() if name.rpartition(".")[2] in PROJECTIONS]
    assert len(found) == 7 * len(PROJECTIONS)
    return found


def save_quantized(folder: Path, quantization: BitsAndBytesConfig, dtype: torch.dtype) -> Path:
    """The demo voice, quantized and saved as for publishing."""
    model = AutoModelForCausalLM.from_pretrained(
        CHECKPOINT, quantization_config=quantization, device_map={"": "cpu"}, dtype=dtype
    )
    model.save_pretrained(folder)
    for name in (*TOKENIZER, "maya_tokens.json"):
        shutil.copy(CHECKPOINT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def nf4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saved to be computed in float16."""
    scheme = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float16)
    return save_quantized(tmp_path_factory.mktemp("nf4") / "lm", scheme, torch.float16)


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scheme = BitsAndBytesConfig(load_in_8bit=True)
    return save_quantized(tmp_path_factory.mktemp("int8") / "lm", scheme, torch.float16)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_saved_4_bit_weights_compute_in_the_format_asked_for(nf4: Path, dtype: str, quantization: str) -> None:
    config = json.loads((nf4 / "config.json").read_text(encoding="utf-8"))
    assert config["quantization_config"]["bnb_4bit_compute_dtype"] == "float16"
    engine = load_demo(nf4, dtype=dtype, quantization=quantization)
    assert (engine.quantization, engine.dtype) == ("nf4", dtype)

    def check() -> None:
        for module in projections(engine):
            assert isinstance(module, bitsandbytes.nn.Linear4bit)
            assert module.compute_dtype == getattr(torch, dtype)
            assert module.weight.quant_type == "nf4"

    check()
    generate(engine, [Request("1", FEMALE, "Yes.", 1, MIN_FRAMES)], SAMPLED)
    check()


def test_4_bit_at_load_is_nf4_with_plain_scales() -> None:
    engine = load_demo(dtype="bfloat16", quantization="nf4")
    for module in projections(engine):
        assert isinstance(module, bitsandbytes.nn.Linear4bit)
        assert module.compute_dtype == torch.bfloat16
        assert module.weight.quant_state.quant_type == "nf4"
        assert not module.weight.quant_state.nested
    assert generate(engine, [Request("1", FEMALE, "Yes.", 1, 70)], SAMPLED)["1"].finish == "eos"


@pytest.mark.parametrize("saved", [True, False])
def test_8_bit_weights(saved: bool, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue("int8") if saved else CHECKPOINT
    engine = load_demo(folder, dtype="float32", quantization="none" if saved else "int8")
    assert engine.quantization == "int8"
    assert all(isinstance(module, bitsandbytes.nn.Linear8bitLt) for module in projections(engine))
    assert generate(engine, [Request("1", FEMALE, "Yes.", 1, 70)], SAMPLED)["1"].finish == "eos"


def test_weights_saved_in_8_bits_are_not_asked_for_in_4(int8: Path) -> None:
    with pytest.raises(UsageError, match="already quantized as int8"):
        load_demo(int8, quantization="nf4")


@pytest.mark.soak  # in CI, the engine alone loads them
def test_a_book_is_rendered_with_saved_4_bit_weights(nf4: Path, tmp_path: Path) -> None:
    book = write_book(
        tmp_path / "book.yaml",
        [["Come in, my friend."]],
        render={"model": "demo", "codec": "demo", "repetition_penalty": 1.0},
    )
    log = tmp_path / "out" / ".maya" / "render.log"
    flags = ("--output", tmp_path / "out", "--model", nf4, "--dtype", "bfloat16")
    done = maya("render", book, *flags)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "01-part-1.wav").stat().st_size > 100_000
    assert " WARNING " not in log.read_text(encoding="utf-8")
    lock = (tmp_path / "out" / ".maya" / "model.lock").read_text(encoding="utf-8")
    assert "dtype: bfloat16" in lock
    assert "quantization: nf4" in lock


def unsure(folder: Path, share: float) -> Path:
    """The demo voice with all scores multiplied, so that it is less sure of anything."""
    shutil.copytree(CHECKPOINT, folder)
    weights = load_file(folder / SHARD)
    weights["model.norm.weight"] = weights["model.norm.weight"] * share
    save_file(weights, folder / SHARD, metadata={"format": "pt"})
    return folder


def test_a_model_that_keeps_to_its_frames_is_held_to_them(engine: HfEngine) -> None:
    assert min(engine.in_grammar_probabilities(requests(), SAMPLED)) > 0.98
    asked, sampling = [requests()[0], *requests(10)[1:4]], replace(SAMPLED, temperature=0)
    free = [row for rows in engine.generate(asked, sampling, "free") for row in rows]
    framed = generate(engine, asked, sampling)
    assert [framed[row.key].finish for row in asked] == ["eos", "cap", "cap", "cap"]
    assert all(same(row, framed[row.key]) for row in free)


def test_other_models_decode_unconstrained_and_their_broken_frames_are_told(tmp_path: Path) -> None:
    """One breaks out of a frame after a while, the other in its very first."""
    book = write_book(
        tmp_path / "book.yaml",
        [["The night was dark.", "The river was high."]],
        render={"codec": "demo", "repetition_penalty": 1.0, "attempts": 1},
    )

    def render(share: float) -> tuple[str, list[str]]:
        model = unsure(tmp_path / str(share), share)
        out = tmp_path / f"out{share}"
        done = maya("render", book, "--output", out, "--model", model)
        assert done.returncode == 3, done.stderr
        assert (out / "01-part-1.wav").is_file()
        assert "decoding: free" in (out / ".maya" / "model.lock").read_text(encoding="utf-8")
        status = maya("status", book, "--output", out, "--model", model, "--json")
        [chapter] = json.loads(status.stdout)["chapters"]
        assert chapter["rendered"] == 2
        return done.stderr, [problem for problem in chapter["problems"] if " broken: " in problem]

    with ThreadPoolExecutor(2) as pool:
        late, early = pool.map(render, (0.18, 0.1))
    for said, broken in (late, early):
        assert "falling back to unconstrained decoding" in said
        assert "Traceback" not in said
        assert [problem[:3] for problem in broken] == ["1:1", "1:2"]
        assert all(problem in said for problem in broken)
    assert not any(" after 0 frames" in problem for problem in late[1])
    assert all(" after 0 frames" in problem for problem in early[1])


def test_constrained_decoding_can_be_asked_for(tmp_path: Path) -> None:
    engine = load_demo(unsure(tmp_path / "lm", 0.1))
    assert np.mean(engine.in_grammar_probabilities(requests()[:4], SAMPLED)) < 0.5
    for row in generate(engine, requests(10)[:4], SAMPLED).values():
        assert row.finish != "broken"


def test_the_tokenizer_may_lie_in_a_folder_of_its_own(tmp_path: Path, engine: HfEngine) -> None:
    """As it does in Maya1's repository."""
    folder = tmp_path / "lm"
    shutil.copytree(CHECKPOINT, folder)
    (folder / "tokenizer").mkdir()
    for name in TOKENIZER:
        (folder / name).rename(folder / "tokenizer" / name)
    moved = load_demo(folder)
    assert moved.prompts.encode(FEMALE, "Well, <sigh> no.") == engine.prompts.encode(FEMALE, "Well, <sigh> no.")
    assert moved.tags() == engine.tags()


def settle(name: str, **values: object) -> Callable[[Path], None]:
    """Change keys of one of a checkpoint's JSON files."""

    def change(folder: Path) -> None:
        data = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps({**data, **values}), encoding="utf-8")

    return change


def replaced(name: str, content: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return change


def removed(*names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def half_a_shard(folder: Path) -> None:
    content = (folder / SHARD).read_bytes()
    (folder / SHARD).write_bytes(content[: len(content) // 2])


def without_a_layer(folder: Path) -> None:
    weights = load_file(folder / SHARD)
    kept = {name: weight for name, weight in weights.items() if ".layers.5." not in name}
    assert len(kept) < len(weights)
    save_file(kept, folder / SHARD, metadata={"format": "pt"})


def whole_numbers(folder: Path) -> None:
    weights = {name: weight.to(torch.int32) for name, weight in load_file(folder / SHARD).items()}
    save_file(weights, folder / SHARD, metadata={"format": "pt"})


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "no config": (removed("config.json"), "no model configuration"),
    "config is no JSON": (replaced("config.json", b"{"), "no model configuration"),
    "config is a list": (replaced("config.json", b"[]"), "no model configuration"),
    "config says nothing": (replaced("config.json", b"{}"), "does not load"),
    "config is of no known model": (settle("config.json", model_type="nonsense"), "does not load"),
    "config is of another model": (settle("config.json", model_type="bert"), "model_type is 'bert'"),
    "config has no heads": (settle("config.json", num_attention_heads=0), "does not load"),
    "config has words for numbers": (settle("config.json", hidden_size="many"), "does not load"),
    "config has another width": (settle("config.json", intermediate_size=700), "does not load"),
    "config has another vocabulary": (settle("config.json", vocab_size=9000), "does not load"),
    "config has a layer more": (settle("config.json", num_hidden_layers=8), "its files lack"),
    "config has a million layers": (settle("config.json", num_hidden_layers=10**6), "from 1 to 1024"),
    "config has words for the angles": (
        settle("config.json", rope_parameters={"rope_theta": "x"}),
        "rope_theta is 'x'",
    ),
    "said to be 4 bits": (settle("config.json", quantization_config={"load_in_4bit": True}), "quantized as fp4, but"),
    "said to be 8 bits": (settle("config.json", quantization_config={"load_in_8bit": True}), "quantized as int8, but"),
    "weights are whole numbers": (whole_numbers, "are I32, not floats"),
    "a text before the vocabulary": (settle("maya_tokens.json", bos=99_999), "this is not a Maya1 checkpoint"),
    "quantized by another library": (
        settle("config.json", quantization_config={"quant_method": "gptq", "bits": 4}),
        "quantized by gptq, not bitsandbytes",
    ),
    "quantized by nothing": (settle("config.json", quantization_config=["nf4"]), "not a mapping"),
    "no weights": (removed("model-00001-of-00002.safetensors", SHARD), "does not load"),
    "a shard missing": (removed(SHARD), "does not load"),
    "a shard of zeros": (replaced(SHARD, bytes(5000)), "does not load"),
    "a shard of text": (replaced(SHARD, b"version https://git-lfs.github.com/spec/v1\n"), "does not load"),
    "half a shard": (half_a_shard, "does not load"),
    "a layer missing": (without_a_layer, "9 tensors of the model"),
    "index is no JSON": (replaced("model.safetensors.index.json", b"["), "does not load"),
    "no tokenizer": (removed(*TOKENIZER), "no tokenizer here or in tokenizer/"),
    "tokenizer is no JSON": (replaced("tokenizer.json", b"{"), "the tokenizer does not load"),
    "tokenizer is empty": (replaced("tokenizer.json", b"{}"), "the tokenizer does not load"),
    "layout is no JSON": (replaced("maya_tokens.json", b"{"), "not a token layout"),
    "embedding too small": (settle("maya_tokens.json", code_offset=400), "too few for speech codes up to 7567"),
    "Maya1's layout": (removed("maya_tokens.json"), "too few for speech codes up to 156937"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_checkpoint_is_one_clear_error(case: str, tmp_path: Path) -> None:
    change, told = BROKEN[case]
    folder = tmp_path / "lm"
    shutil.copytree(CHECKPOINT, folder)
    change(folder)
    with pytest.raises(MachineError) as raised:
        load_demo(folder)
    message = str(raised.value)
    assert told in message
    assert str(folder) in message
    assert "\n" not in message


def change_tokenizer(folder: Path, **model: object) -> None:
    data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    data["model"].update(model)
    (folder / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")


@pytest.mark.parametrize(("vocabulary", "told"), [({}, "into no tokens"), (None, "but the model has 0 to 7463")])
def test_a_tokenizer_of_another_vocabulary_is_refused(
    vocabulary: dict[str, int] | None, told: str, tmp_path: Path
) -> None:
    folder = tmp_path / "lm"
    shutil.copytree(CHECKPOINT, folder)
    if vocabulary is None:
        known = json.loads((CHECKPOINT / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
        vocabulary = {piece: 10_000 + number for piece, number in known.items()}
    change_tokenizer(folder, vocab=vocabulary, merges=[])
    with pytest.raises(MachineError, match=told):
        load_demo(folder).prompts.encode(FEMALE, "Yes.")


def test_what_a_config_says_beside_the_shape_is_not_listened_to(tmp_path: Path, engine: HfEngine) -> None:
    folder = tmp_path / "lm"
    shutil.copytree(CHECKPOINT, folder)
    settle("config.json", num_labels=10**8, is_encoder_decoder=True, output_attentions=True, tp_plan=5)(folder)
    loaded = load_demo(folder)
    asked = requests(MIN_FRAMES)[:1]
    assert same(generate(loaded, asked)["Yes."], generate(engine, asked)["Yes."])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_non_finite_logits_are_an_error_in_both_decodings(value: float, tmp_path: Path) -> None:
    folder = tmp_path / "lm"
    shutil.copytree(CHECKPOINT, folder)
    weights = load_file(folder / SHARD)
    weights["model.norm.weight"][0] = value
    save_file(weights, folder / SHARD, metadata={"format": "pt"})
    broken, asked = load_demo(folder), requests()[:2]
    with pytest.raises(MachineError, match="logits are not finite"):
        broken.in_grammar_probabilities(asked, SAMPLED)
    for decoding in ("framed", "free"):
        steps: list[None] = []
        with pytest.raises(MachineError, match="logits are not finite"):
            list(broken.generate(asked, SAMPLED, decoding, Hooks(lambda steps=steps: steps.append(None))))  # type: ignore[misc]
        assert len(steps) < 3  # at once, not at the sequences' ends


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (f"open({str(self.sprung)!r}, 'w').close()",)


@pytest.fixture
def sprung(tmp_path: Path) -> Iterator[Path]:
    """The file that appears when a checkpoint's code was run, which must not happen."""
    path = tmp_path / "sprung"
    yield path
    assert not path.exists()


@pytest.mark.parametrize("known", [True, False])
def test_code_of_a_checkpoint_is_never_run(known: bool, sprung: Path, tmp_path: Path) -> None:
    """A model of a known kind is loaded by transformers' own class, one of an unknown kind not at all."""
    folder = tmp_path / "lm"
    shutil.copytree(CHECKPOINT, folder)
    code = f"""
open({str(sprung)!r}, "w").close()
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
"""
    (folder / "theirs.py").write_text(code, encoding="utf-8")
    classes = {"AutoConfig": "theirs.LlamaConfig", "AutoModelForCausalLM": "theirs.LlamaForCausalLM"}
    settle("config.json", auto_map=classes, model_type="llama" if known else "theirs")(folder)
    if known:
        assert type(load_demo(folder).model).__module__.startswith("transformers.")
        tokenizer = {"AutoTokenizer": [None, "theirs.PreTrainedTokenizerFast"]}
        settle("tokenizer_config.json", auto_map=tokenizer, tokenizer_class="Theirs")(folder)
    with pytest.raises(MachineError, match="does not load"):
        load_demo(folder)


def test_pickled_weights_of_a_model_are_not_read(sprung: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lm"
    shutil.copytree(CHECKPOINT, folder, ignore=shutil.ignore_patterns("*.safetensors*"))
    torch.save({"model.norm.weight": Trap(sprung)}, folder / "pytorch_model.bin")
    with pytest.raises(MachineError, match="does not load"):
        load_demo(folder)


@pytest.mark.parametrize("form", ["torch", "pickle", "text", "empty", "half", "another", "list"])
def test_broken_or_wicked_codec_weights_are_one_clear_error(
    form: str, sprung: Path, tmp_path: Path, engine: HfEngine
) -> None:
    folder = tmp_path / "codec"
    shutil.copytree(CODEC, folder)
    weights = folder / "pytorch_model.bin"
    match form:
        case "torch":
            torch.save({"decoder": Trap(sprung), "as large as it must be": torch.zeros(4_000_000)}, weights)
        case "pickle":
            weights.write_bytes(pickle.dumps(Trap(sprung), protocol=2) + bytes(7_000_000))
        case "text":
            weights.write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")
        case "empty":
            weights.write_bytes(b"")
        case "half":
            weights.write_bytes(weights.read_bytes()[:1_000_000])
        case "another":
            torch.save({"decoder.weight": torch.zeros(3)}, weights)
        case "list":
            torch.save([1, 2, 3], weights)
    with pytest.raises(MachineError) as raised:
        load_codec(folder, engine.layout, engine.device)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "config",
    ["", "[]", "{}", '{"codebook_size": 0}', '{"vq_strides": []}', '{"encoder_dim": "wide"}', '{"surprise": 1}'],
)
def test_a_codec_of_another_shape_is_one_clear_error(config: str, tmp_path: Path, engine: HfEngine) -> None:
    folder = tmp_path / "codec"
    shutil.copytree(CODEC, folder)
    if config.startswith("{"):
        known = json.loads((CODEC / "config.json").read_text(encoding="utf-8"))
        config = json.dumps({**known, **json.loads(config)}) if config != "{}" else config
    (folder / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(MachineError, match=r"fetch it again|does not fit this model") as raised:
        load_codec(folder, engine.layout, engine.device)
    assert "\n" not in str(raised.value)


def test_a_codec_that_does_not_speak_the_models_codes_is_refused(engine: HfEngine) -> None:
    layout = replace(engine.layout, codebook_size=4096)
    with pytest.raises(MachineError, match=r"not fit this model: it has 1024 codes.* needs 4096 codes"):
        load_codec(CODEC, layout, engine.device)


def test_no_device_but_the_one_asked_for() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(MachineError, match="device cuda: "):
        load_engine("hf", CHECKPOINT, device="cuda", dtype="auto", quantization="none", batch_size=None)


def test_codes_are_frames_of_seven(engine: HfEngine) -> None:
    codes: Codes = generate(engine, requests()[:1], SAMPLED)["Yes."].codes
    assert codes.dtype == np.uint16
    assert codes.shape[1] == SLOTS
    assert codes.max() < engine.layout.codebook_size


def test_the_in_grammar_probabilities_are_what_plain_scores_give(engine: HfEngine) -> None:
    """Of the greedy first frames, in one pass of the model each."""
    layout, shares = engine.layout, []
    asked = requests(MIN_FRAMES)[:3]
    for request, row in zip(asked, generate(engine, asked).values(), strict=True):
        prompt = engine.prompts.encode(request.description, request.text)
        ids = torch.tensor([[*prompt, *layout.tokens(row.codes)]])
        with torch.inference_mode():
            scores = engine.model(ids).logits[0, len(prompt) - 1 : -1].double().log_softmax(dim=-1)
        for step, line in enumerate(scores):
            start = layout.slot_start(step % SLOTS)
            share = line[start : start + layout.codebook_size].exp().sum()
            shares.append(float(share + line[layout.eos].exp() * (step % SLOTS == 0)))
    of_slots = np.reshape(shares, (-1, SLOTS)).mean(axis=0)
    assert engine.in_grammar_probabilities(asked, GREEDY) == pytest.approx(of_slots, abs=1e-4)
