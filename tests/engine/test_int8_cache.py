"""The demo voice with keys and values in 8 bits, on a CPU, where plain PyTorch is the reference of the GPU kernel."""

from collections.abc import Sequence

import numpy as np
import pytest

from maya_batch.engine.api import Generation, Hooks, Request, Sampling
from maya_batch.engine.cache_rounding import predictions
from maya_batch.engine.hf_engine import HfEngine
from maya_batch.engine.hf_loader import load_hf_engine
from maya_batch.run.cache_trial import LEAST_SAME_BEST, MOST_DIVERGENCE
from tests.support.demo import CHECKPOINT, FEMALE, MALE

SAMPLED = Sampling(temperature=0.4, top_p=0.9, repetition_penalty=1.1)
TEXTS = ["Yes.", "Come in.", "He ran.", "<sigh> Well.", "Who?"]


@pytest.fixture(scope="module")
def in_8_bits() -> HfEngine:
    return load_hf_engine(CHECKPOINT, device="cpu", dtype="float32", quantization="none", batch_size=8, kv_cache="int8")


def requests() -> list[Request]:
    return [Request(text, (FEMALE, MALE)[n % 2], text, 50 + n, 40) for n, text in enumerate(TEXTS)]


def generate(engine: HfEngine, asked: Sequence[Request]) -> dict[str, Generation]:
    return {made.key: made for some in engine.generate(asked, SAMPLED, "framed") for made in some}


def same(one: Generation, other: Generation) -> bool:
    return one.finish == other.finish and np.array_equal(one.codes, other.codes)


def test_neighbours_change_no_code(in_8_bits: HfEngine) -> None:
    together = generate(in_8_bits, requests())
    assert {made.finish for made in together.values()} == {"eos"}
    for request in requests():
        alone = generate(in_8_bits, [request])
        assert same(alone[request.key], together[request.key])


def test_first_frames_are_those_of_the_models_own_format(in_8_bits: HfEngine, hf_engine: HfEngine) -> None:
    ours, theirs = generate(in_8_bits, requests()), generate(hf_engine, requests())
    agreeing = [np.array_equal(ours[text].codes[:2], theirs[text].codes[:2]) for text in TEXTS]
    assert sum(agreeing) >= 3  # a rounding can tip a draw, and what follows differs


def test_a_retry_joins_and_becomes_what_it_would_have_been_alone(in_8_bits: HfEngine) -> None:
    retry = Request("again", FEMALE, "Come in.", 7, 40)
    waiting = [retry]
    finished: list[Generation] = []

    def retries() -> list[Request]:
        return [waiting.pop()] if waiting and finished else []

    for some in in_8_bits.generate(requests(), SAMPLED, "framed", Hooks(retries=retries)):
        finished += some
    (made,) = [one for one in finished if one.key == "again"]
    assert same(made, generate(in_8_bits, [retry])["again"])


def test_frames_are_as_well_formed_as_ever(in_8_bits: HfEngine) -> None:
    probabilities = in_8_bits.in_grammar_probabilities(requests(), SAMPLED)
    assert len(probabilities) == 7
    assert min(probabilities) > 0.9


def test_8_bits_change_the_predictions_for_whole_takes_less_than_a_trial_allows(hf_engine: HfEngine) -> None:
    asked = requests()
    made = list(generate(hf_engine, asked).values())
    found = hf_engine.cache_rounding(asked, made)
    assert (found.takes, found.tokens) == (len(made), sum(one.codes.size + 1 for one in made))
    assert 0 < found.divergence < MOST_DIVERGENCE
    assert LEAST_SAME_BEST < found.same_best <= 1


def test_predictions_with_the_models_format_are_what_the_take_was_drawn_by(hf_engine: HfEngine) -> None:
    (request,) = asked = [Request("x", FEMALE, "Come in.", 3, 60)]
    greedy = Sampling(temperature=0, repetition_penalty=1.0)
    ((made,),) = hf_engine.generate(asked, greedy, "framed")
    prompt = hf_engine.prompts.encode(request.description, request.text)
    found = list(predictions(hf_engine._llama, hf_engine.layout, prompt, made.codes, int8=False))
    for slot, of_slot in enumerate(found):
        assert np.array_equal(of_slot[: len(made.codes)].argmax(dim=-1), made.codes[:, slot])
    assert int(found[0][-1].argmax()) == hf_engine.layout.codebook_size  # then it ends


@pytest.mark.parametrize("chosen", ["int8", "model"])
def test_an_engine_changes_its_cache_between_two_calls(hf_engine: HfEngine, in_8_bits: HfEngine, chosen: str) -> None:
    engine = load_hf_engine(CHECKPOINT, device="cpu", dtype="float32", quantization="none", batch_size=8)
    engine.use_kv_cache("int8")
    generate(engine, requests()[:1])
    if chosen == "model":
        engine.use_kv_cache("model")
    wanted = generate(in_8_bits if chosen == "int8" else hf_engine, requests())
    assert engine.kv_cache == chosen
    assert all(same(made, wanted[key]) for key, made in generate(engine, requests()).items())
