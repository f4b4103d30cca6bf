import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
import torch

from maya_batch.engines import Decoding, Request, Sampling
from maya_batch.engines.hf import HfEngine
from maya_batch.engines.sampling import RowSampler, draw
from maya_batch.errors import MachineError
from maya_batch.tokens import MIN_FRAMES, SLOTS, TokenLayout

CPU = torch.device("cpu")
SIZE = 16
LAYOUT = TokenLayout(
    bos=0, eot=1, soh=2, eoh=3, soa=4, sos=5, eos=6, pad=7, code_offset=10, codebook_size=SIZE, frame_samples=8
)
VOCABULARY = LAYOUT.vocabulary
DRAWS = 20_000
SETTINGS = [(0.4, 0.9), (1.0, 1.0), (0.7, 0.5), (1.5, 0.99)]
GREEDY = Sampling(temperature=0, top_p=1, repetition_penalty=1)
VOICE = "Realistic female voice in the 30s age."


def scores_of(seed: int, rows: int = 1, columns: int = VOCABULARY, spread: float = 2.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=generator) * spread


def sampler_of(
    decoding: Decoding,
    sampling: Sampling,
    seeds: list[int],
    *,
    layout: TokenLayout = LAYOUT,
    prompt_length: int = 3,
    max_tokens: int = 200,
) -> RowSampler:
    return RowSampler(layout, sampling, decoding, seeds, prompt_length, max_tokens, CPU)


def speak(sampler: RowSampler, scores: list[torch.Tensor], prompt: torch.Tensor | None = None) -> list[list[int]]:
    """What each row says when these scores [rows, vocabulary] come one after the other."""
    ids = torch.zeros(scores[0].shape[0], 3, dtype=torch.long) if prompt is None else prompt
    start = ids.shape[1]
    for step in scores:
        left = sampler(ids, step)
        assert (left == 0).sum(dim=1).eq(1).all()  # one token is left, and its probability is 1
        assert left.isinf().sum() == left.numel() - len(left)
        ids = torch.cat([ids, left.argmax(dim=-1, keepdim=True)], dim=1)
    said: list[list[int]] = ids[:, start:].tolist()
    return said


def nucleus(logits: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """The probabilities after temperature and top-p, the plain way, in double precision."""
    probabilities = torch.softmax(logits.double() / temperature, dim=-1)
    kept: list[int] = []
    mass = 0.0
    for column in probabilities.argsort(descending=True).tolist():
        if mass >= top_p:
            break
        kept.append(column)
        mass += float(probabilities[column])
    result = torch.zeros_like(probabilities)
    result[kept] = probabilities[kept]
    return result / result.sum()


def assert_frequencies(drawn: torch.Tensor, expected: torch.Tensor) -> None:
    """Pearson's chi-square test at p = 0.001; the bound is Wilson's and Hilferty's."""
    counts = torch.bincount(drawn, minlength=len(expected)).double()
    assert counts[expected == 0].sum() == 0  # nothing from outside the nucleus
    wanted = expected * len(drawn)
    often = wanted >= 5
    rare_count, rare_wanted = counts[~often].sum(), wanted[~often].sum()
    chi = float(((counts - wanted)[often] ** 2 / wanted[often]).sum())
    cells = int(often.sum())
    if rare_wanted >= 5:
        chi += float((rare_count - rare_wanted) ** 2 / rare_wanted)
        cells += 1
    freedom = cells - 1
    if freedom:
        bound = freedom * (1 - 2 / (9 * freedom) + 3.0902 * math.sqrt(2 / (9 * freedom))) ** 3
        assert chi < bound


@pytest.mark.parametrize(("temperature", "top_p"), SETTINGS)
def test_draw_follows_temperature_and_top_p(temperature: float, top_p: float) -> None:
    logits = scores_of(1, columns=40)
    uniform = torch.rand(DRAWS, generator=torch.Generator().manual_seed(2))
    drawn = draw(logits.expand(DRAWS, -1), uniform, temperature, top_p)
    assert_frequencies(drawn, nucleus(logits[0], temperature, top_p))


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-24])
@pytest.mark.parametrize(("temperature", "top_p"), SETTINGS)
def test_draw_keeps_to_the_nucleus_at_its_very_edges(uniform: float, temperature: float, top_p: float) -> None:
    for seed in range(20):
        logits = scores_of(seed, columns=1024)
        kept = nucleus(logits[0], temperature, top_p)
        [column] = draw(logits, torch.tensor([uniform]), temperature, top_p).tolist()
        assert kept[column] > 0


@pytest.mark.parametrize("decoding", ["framed", "free"])
@pytest.mark.parametrize(("temperature", "top_p"), SETTINGS)
def test_rows_of_all_seeds_follow_temperature_and_top_p(decoding: Decoding, temperature: float, top_p: float) -> None:
    """One draw each of 20,000 rows that differ in nothing but their seed."""
    scores = scores_of(3)
    sampler = sampler_of(decoding, Sampling(temperature, top_p, 1.0), list(range(DRAWS)), max_tokens=1)
    [*drawn] = (row[0] for row in speak(sampler, [scores.expand(DRAWS, -1)]))
    offered = scores[0].clone()
    if decoding == "framed":
        offered[: LAYOUT.code_offset] = -torch.inf
        offered[LAYOUT.slot_start(1) :] = -torch.inf
    else:
        offered[LAYOUT.eos] = -torch.inf
    assert_frequencies(torch.tensor(drawn), nucleus(offered, temperature, top_p))


@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_draws_of_one_row_follow_the_distribution(decoding: Decoding) -> None:
    """All the draws of one row at the same slot: its random numbers are good ones, one after the other."""
    steps = 20_000 * (SLOTS if decoding == "framed" else 1)
    scores = scores_of(4)
    scores[0, LAYOUT.eos] = -30.0
    sampler = sampler_of(decoding, Sampling(1.0, 0.9, 1.0), [5], max_tokens=steps)
    drawn = []
    for step in range(0, steps, SLOTS if decoding == "framed" else 1):
        left = sampler(torch.zeros(1, 1, dtype=torch.long).expand(1, 3 + step), scores)
        drawn.append(int(left.argmax()))
    offered = scores[0].clone()
    if decoding == "framed":
        offered[: LAYOUT.code_offset] = -torch.inf
        offered[LAYOUT.slot_start(1) :] = -torch.inf
    assert_frequencies(torch.tensor(drawn), nucleus(offered, 1.0, 0.9))


@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_temperature_0_takes_the_most_probable(decoding: Decoding) -> None:
    steps = [scores_of(step, rows=3) for step in range(MIN_FRAMES * SLOTS)]
    rows = speak(sampler_of(decoding, GREEDY, [1, 2, 3]), steps)
    for row, said in enumerate(rows):
        for step, (scores, token) in enumerate(zip(steps, said, strict=True)):
            offered = scores[row].clone()
            offered[LAYOUT.eos] = -torch.inf
            if decoding == "framed":
                start = LAYOUT.slot_start(step % SLOTS)
                assert token == start + int(offered[start : start + SIZE].argmax())
            else:
                assert token == int(offered.argmax())


@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_same_seed_same_draws_whatever_stands_beside(decoding: Decoding) -> None:
    sampling = Sampling(1.0, 0.95, 1.2)
    by_seed = {seed: [scores_of(1000 * seed + step) for step in range(60)] for seed in range(9)}

    def said(seeds: list[int], max_tokens: int, padding: int = 0) -> dict[int, list[int]]:
        steps = [torch.cat([by_seed[seed][step] for seed in seeds]) for step in range(60)]
        prompt = torch.zeros(len(seeds), 3 + padding, dtype=torch.long)
        sampler = sampler_of(decoding, sampling, seeds, prompt_length=3 + padding, max_tokens=max_tokens)
        return dict(zip(seeds, speak(sampler, steps, prompt), strict=True))

    alone = {seed: said([seed], 60)[seed] for seed in by_seed}
    assert said([4], 60)[4] == alone[4]
    assert said(list(by_seed), 60) == alone
    assert said(list(by_seed)[::-1], 200, padding=9) == alone
    assert said([7, 3, 5], 61, padding=1) == {seed: alone[seed] for seed in (7, 3, 5)}


def test_another_seed_is_another_row() -> None:
    scores = scores_of(0).expand(50, -1)
    rows = speak(sampler_of("framed", Sampling(1.0, 1.0, 1.0), list(range(50))), [scores] * 20)
    assert len({tuple(row) for row in rows}) == 50


@pytest.mark.parametrize("temperature", [0.0, 0.4, 2.0])
def test_framed_rows_never_leave_their_slot(temperature: float) -> None:
    """Whatever the model says: here it wants the next slot's codes, text, and an end in mid-frame."""
    steps = []
    for step in range(30 * SLOTS):
        scores = scores_of(step, rows=4)
        following = LAYOUT.slot_start((step + 1) % SLOTS)
        scores[:, following : following + SIZE] += 50
        scores[:, : LAYOUT.code_offset] += 50
        if step % SLOTS == 0:
            scores[:, LAYOUT.eos] = -60
        else:
            scores[:, LAYOUT.eos] = 100
        steps.append(scores)
    sampling = Sampling(temperature, 1.0, 1.3)
    for row in speak(sampler_of("framed", sampling, [1, 2, 3, 4], max_tokens=30 * SLOTS), steps):
        assert LAYOUT.frames(row).shape == (30, SLOTS)


@pytest.mark.parametrize("temperature", [0.0, 0.4])
def test_framed_rows_end_at_the_first_slot_after_the_minimum(temperature: float) -> None:
    steps = [scores_of(step, rows=2) for step in range(MIN_FRAMES * SLOTS + 1)]
    for scores in steps:
        scores[:, LAYOUT.eos] = 100
    for row in speak(sampler_of("framed", Sampling(temperature, 0.9, 1.0), [1, 2]), steps):
        assert row.index(LAYOUT.eos) == MIN_FRAMES * SLOTS


def test_framed_rows_end_with_the_probability_the_model_gives() -> None:
    """EOS competes with the codes of slot 0, and with nothing else."""
    scores = scores_of(11)
    step = MIN_FRAMES * SLOTS
    sampler = sampler_of("framed", Sampling(1.0, 1.0, 1.0), list(range(DRAWS)), max_tokens=step + 1)
    left = sampler(torch.zeros(DRAWS, 3 + step, dtype=torch.long), scores.expand(DRAWS, -1))
    offered = scores[0].clone()
    offered[LAYOUT.slot_start(1) :] = -torch.inf
    offered[: LAYOUT.code_offset] = -torch.inf
    offered[LAYOUT.eos] = scores[0, LAYOUT.eos]
    assert_frequencies(left.argmax(dim=-1), nucleus(offered, 1.0, 1.0))


def test_free_rows_do_not_end_before_the_minimum() -> None:
    steps = [scores_of(step, rows=2) for step in range(MIN_FRAMES * SLOTS + 1)]
    for scores in steps:
        scores[:, LAYOUT.eos] = 100
    for row in speak(sampler_of("free", Sampling(0.4, 0.9, 1.1), [1, 2]), steps):
        assert row.index(LAYOUT.eos) == MIN_FRAMES * SLOTS


@pytest.mark.parametrize("sign", [1, -1])
def test_the_penalty_counts_only_what_the_row_has_spoken(sign: int) -> None:
    """Free and greedy. The prompt is full of `first` and padding, the other row has spoken `first`."""
    first, second = LAYOUT.code_offset + 3, LAYOUT.slot_start(2) + 1
    high, low = (2.0, 1.9) if sign > 0 else (-1.9, -2.0)
    row = torch.full((VOCABULARY,), -40.0)
    row[first], row[second] = high, low
    other = row.clone()
    other[first], other[second] = low, high
    prompt = torch.tensor([[LAYOUT.pad, first, first, second], [LAYOUT.pad, LAYOUT.pad, second, first]])
    sampler = sampler_of("free", Sampling(0, 1.0, 1.5), [1, 2], prompt_length=4)
    said = speak(sampler, [torch.stack([row, other])] * 3, prompt)
    # Once each: then both are penalized, and the order is as before.
    assert said == [[first, second, first], [second, first, second]]


@pytest.mark.parametrize("text", [0, LAYOUT.pad, LAYOUT.eos, LAYOUT.code_offset - 1])
def test_the_penalty_leaves_all_but_speech_alone(text: int) -> None:
    scores = torch.full((1, VOCABULARY), -40.0)
    scores[0, text], scores[0, LAYOUT.code_offset] = 2.0, 1.9
    ids = torch.zeros(1, 3 + MIN_FRAMES * SLOTS, dtype=torch.long)  # long enough for an end
    sampler = sampler_of("free", Sampling(0, 1.0, 2.0), [1])
    for _ in range(5):
        token = int(sampler(ids, scores).argmax())
        assert token == text
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)


def test_the_penalty_of_framed_rows_is_a_matter_of_each_slot() -> None:
    """The same code in another slot is another token."""
    scores = torch.full((1, VOCABULARY), -40.0)
    for slot in range(SLOTS):
        scores[0, LAYOUT.slot_start(slot) + 5], scores[0, LAYOUT.slot_start(slot) + 6] = 2.0, 1.9
    sampler = sampler_of("framed", Sampling(0, 1.0, 1.5), [1])
    codes = LAYOUT.frames(speak(sampler, [scores] * (3 * SLOTS))[0])
    assert codes.tolist() == [[5] * SLOTS, [6] * SLOTS, [5] * SLOTS]


def test_a_penalty_of_1_changes_nothing() -> None:
    scores = torch.full((1, VOCABULARY), -40.0)
    scores[0, LAYOUT.code_offset], scores[0, LAYOUT.code_offset + 1] = 2.0, 1.999
    sampler = sampler_of("free", GREEDY, [1])
    assert speak(sampler, [scores] * 4) == [[LAYOUT.code_offset] * 4]


def test_the_penalty_is_that_of_transformers() -> None:
    """Over the same tokens, transformers' own processor gives the same order."""
    from transformers import RepetitionPenaltyLogitsProcessor

    steps = [scores_of(step) for step in range(MIN_FRAMES * SLOTS)]
    for scores in steps:
        scores[:, : LAYOUT.code_offset] = -40
    [said] = speak(sampler_of("free", Sampling(0, 1.0, 1.4), [1]), steps)
    theirs = RepetitionPenaltyLogitsProcessor(penalty=1.4)
    ids = torch.zeros(1, 0, dtype=torch.long)
    for scores, token in zip(steps, said, strict=True):
        assert token == int(theirs(ids, scores.clone()).argmax())
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)


def test_random_weights_end_where_it_was_drawn() -> None:
    low, high = 5, 9
    layout = TokenLayout(**{**vars(LAYOUT), "drawn_frames": (low, high)})
    steps = [scores_of(step).expand(40, -1).clone() for step in range((high + 1) * SLOTS)]
    for scores in steps:
        scores[:, LAYOUT.eos] = 100  # what the model would do is of no account
    sampling = Sampling(0.4, 0.9, 1.1)
    seeds = list(range(40))
    rows = speak(sampler_of("framed", sampling, seeds, layout=layout), steps)
    frames = [row.index(LAYOUT.eos) / SLOTS for row in rows]
    assert set(frames) == set(range(low, high + 1))
    for row, end in zip(rows, frames, strict=True):
        assert layout.frames(row[: int(end) * SLOTS]).shape == (end, SLOTS)
    # A row ends at the same place alone and with a longer cap beside it.
    for seed in (0, 7, 39):
        alone = sampler_of("framed", sampling, [seed], layout=layout, max_tokens=73)
        [row] = speak(alone, [scores[seed : seed + 1] for scores in steps])
        assert row == rows[seed]


@contextmanager
def poisoned(engine: HfEngine, value: float, row: int, column: int | slice, call: int) -> Iterator[None]:
    """The model's scores hold `value` in one row, from its given call on."""
    calls = 0

    def poison(_module: object, _inputs: object, scores: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > call:
            scores = scores.clone()
            scores[row, :, column] = value
        return scores

    hook = engine.model.lm_head.register_forward_hook(poison)
    try:
        yield
    finally:
        hook.remove()


@pytest.mark.parametrize("decoding", ["framed", "free"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_scores_that_are_no_numbers_end_the_run(engine: HfEngine, decoding: Decoding, value: float) -> None:
    requests = [Request(str(row), VOICE, "Yes.", row, MIN_FRAMES) for row in range(2)]
    with poisoned(engine, value, 1, slice(None), call=3), pytest.raises(MachineError, match="not numbers"):
        list(engine.generate(requests, Sampling(), decoding))


def test_an_end_that_is_no_number_ends_the_run(engine: HfEngine) -> None:
    request = Request("1", VOICE, "Yes.", 1, MIN_FRAMES)
    with poisoned(engine, math.nan, 0, engine.layout.eos, call=0), pytest.raises(MachineError, match="not numbers"):
        list(engine.generate([request], Sampling(), "framed"))


def test_ticks_come_between_all_steps(engine: HfEngine) -> None:
    """Whoever watches may show the time, or stop the run by raising."""
    request = Request("1", VOICE, "Yes.", 1, MIN_FRAMES)
    times: list[int] = []
    list(engine.generate([request], GREEDY, "framed", lambda: times.append(len(times))))
    assert len(times) >= MIN_FRAMES * SLOTS
    assert all(after - before == 1 for before, after in pairwise(times))

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        list(engine.generate([request], GREEDY, "framed", stop))
