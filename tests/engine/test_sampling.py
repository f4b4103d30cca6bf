import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import median

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from maya_batch.checkpoint.token_layout import MIN_FRAMES, SLOTS, TokenLayout
from maya_batch.engine.api import Decoding, Request, Sampling
from maya_batch.engine.hf_engine import HfEngine
from maya_batch.engine.kernels.llama_layers import Attend, Llama
from maya_batch.engine.sampling import FreeSampler, draw, drawn_end
from maya_batch.engine.sequence_state import Rows
from maya_batch.errors import MachineError

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


def free_sampler(sampling: Sampling, seeds: list[int], *, prompt_length: int = 3, max_tokens: int = 200) -> FreeSampler:
    return FreeSampler(LAYOUT, sampling, seeds, prompt_length, max_tokens, CPU)


def speak_freely(
    sampler: FreeSampler, scores: list[torch.Tensor], prompt: torch.Tensor | None = None
) -> list[list[int]]:
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


def begun(
    sampling: Sampling,
    seeds: Sequence[int],
    *,
    layout: TokenLayout = LAYOUT,
    cap: int = 40,
    places: Sequence[int] | None = None,
) -> Rows:
    """Rows of these seeds that have spoken nothing yet, in the first places or those given."""
    at = list(range(len(seeds))) if places is None else list(places)
    rows = Rows(max(at) + 1, cap, layout, sampling, CPU)
    requests = [Request(str(seed), VOICE, "Yes.", seed, cap) for seed in seeds]
    rows.admit(at, requests, [[layout.soh, layout.sos]] * len(at))
    return rows


def offered(scores: torch.Tensor, slot: int) -> torch.Tensor:
    """The columns of whole scores that a framed row may draw from in a slot."""
    start = LAYOUT.slot_start(slot)
    codes = scores[:, start : start + SIZE]
    return torch.cat([codes, scores[:, LAYOUT.eos : LAYOUT.eos + 1]], dim=1) if slot == 0 else codes


def speak_frame(rows: Rows, scores: Sequence[torch.Tensor]) -> None:
    """A frame, out of whole scores [places, vocabulary] for each of its slots."""
    for slot, step in enumerate(scores):
        rows.take(slot, offered(step, slot))
    rows.finish_frame(len(scores[0]))


def said_by(rows: Rows, place: int) -> list[int]:
    """The tokens that a row has spoken, EOS and all."""
    frames = int(rows.frames[place])
    tokens = LAYOUT.tokens(rows.codes[place, :frames].numpy().astype("uint16"))
    return [*tokens, LAYOUT.eos] if rows.ended[place] else tokens


def speak_framed(rows: Rows, scores: list[torch.Tensor]) -> list[list[int]]:
    """What each place says when these scores come one after the other, whole frames of them."""
    for step in range(0, len(scores), SLOTS):
        speak_frame(rows, scores[step : step + SLOTS])
    return [said_by(rows, place) for place in range(len(scores[0]))]


def say(decoding: Decoding, sampling: Sampling, seeds: list[int], scores: list[torch.Tensor]) -> list[list[int]]:
    if decoding == "framed":
        return speak_framed(begun(sampling, seeds), scores)
    return speak_freely(free_sampler(sampling, seeds, max_tokens=len(scores)), scores)


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


def transformers_probabilities(
    scores: torch.Tensor, allowed: list[int], spoken: list[int], sampling: Sampling
) -> torch.Tensor:
    """The probabilities of the allowed tokens by transformers' own processors, after what was spoken."""
    whole = torch.full((1, VOCABULARY), -torch.inf, dtype=torch.float64)
    whole[0, allowed] = scores[0, allowed].double()
    processors = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty),
            TemperatureLogitsWarper(sampling.temperature),
            TopPLogitsWarper(sampling.top_p),
        ]
    )
    warped: torch.Tensor = processors(torch.tensor([spoken], dtype=torch.long), whole)
    return warped[0].softmax(dim=-1)[allowed]


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


@pytest.mark.parametrize(("temperature", "top_p"), SETTINGS)
def test_free_rows_of_all_seeds_follow_temperature_and_top_p(temperature: float, top_p: float) -> None:
    """One draw each of 20,000 rows that differ in nothing but their seed."""
    scores = scores_of(3)
    sampler = free_sampler(Sampling(temperature, top_p, 1.0), list(range(DRAWS)), max_tokens=1)
    drawn = [row[0] for row in speak_freely(sampler, [scores.expand(DRAWS, -1)])]
    scores[0, LAYOUT.eos] = -torch.inf
    assert_frequencies(torch.tensor(drawn), nucleus(scores[0], temperature, top_p))


SAID = torch.tensor([[5, 5, 0, 15, 2, 9, 5], [7, 5, 1, 14, 2, 8, 4], [5, 3, 0, 13, 6, 9, 3], [7, 11, 1, 12, 6, 8, 2]])
"""The codes of as many frames as must come before an end."""


def made_to_say(codes: torch.Tensor, rows: Rows, count: int) -> None:
    for frame in codes:
        for slot, code in enumerate(frame):
            logits = torch.full((1, SIZE + (slot == 0)), -200.0)
            logits[0, code] = 200.0
            rows.take(slot, logits.expand(count, -1))
        rows.finish_frame(count)


@pytest.mark.parametrize("penalty", [1.0, 1.1])
@pytest.mark.parametrize(("temperature", "top_p"), SETTINGS)
def test_framed_rows_of_all_seeds_draw_as_transformers_would(temperature: float, top_p: float, penalty: float) -> None:
    """The fifth frame of 20,000 rows that differ in nothing but their seed, after four that are all the same."""
    sampling = Sampling(temperature, top_p, penalty)
    rows = begun(sampling, range(DRAWS), cap=6)
    made_to_say(SAID, rows, DRAWS)
    assert rows.codes[:, : len(SAID)].eq(SAID).all()
    spoken = LAYOUT.tokens(SAID.numpy().astype("uint16"))
    for slot in range(SLOTS):
        scores, start = scores_of(10 + slot), LAYOUT.slot_start(slot)
        allowed = list(range(start, start + SIZE))
        scores[0, start + SAID[1, slot]] = scores[0, allowed].max() + 0.2
        scores[0, start + SAID[2, slot]] = -0.5
        scores -= 12 * (slot % 2)  # below 0, the penalty multiplies
        if slot == 0:
            allowed.append(LAYOUT.eos)
            scores[0, LAYOUT.eos] = scores[0, allowed].max() + 0.05
        expected = transformers_probabilities(scores, allowed, spoken, sampling)
        unpenalized = transformers_probabilities(scores, allowed, spoken, replace(sampling, repetition_penalty=1.0))
        assert torch.equal(expected, unpenalized) == (penalty == 1.0)
        speaking = rows.live.bool()
        rows.take(slot, offered(scores, slot).expand(DRAWS, -1))
        drawn = rows.codes[:, len(SAID), slot].long()
        if slot == 0:
            assert expected[SIZE] > 0.05
            drawn = drawn.masked_fill(rows.ended.bool(), SIZE)
            assert torch.equal(rows.ended, 1 - rows.live)
        assert_frequencies(drawn[speaking], expected)


@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_draws_of_one_row_follow_the_distribution(decoding: Decoding) -> None:
    """All the draws of one row at the same slot: its random numbers are good ones, one after the other."""
    draws = 5_000
    scores = scores_of(4)
    scores[0, LAYOUT.eos] = -30.0
    sampling = Sampling(1.0, 0.9, 1.0)
    if decoding == "framed":
        rows = begun(sampling, [5], cap=draws)
        logits = offered(scores, 0)
        for _ in range(draws):
            rows.take(0, logits)
            rows.finish_frame(1)
        assert_frequencies(rows.codes[0, :draws, 0].long(), nucleus(logits[0], 1.0, 0.9))
    else:
        sampler = free_sampler(sampling, [5], max_tokens=draws)
        ids = torch.zeros(1, 1, dtype=torch.long)
        drawn = [int(sampler(ids.expand(1, 3 + step), scores).argmax()) for step in range(draws)]
        assert_frequencies(torch.tensor(drawn), nucleus(scores[0], 1.0, 0.9))


@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_temperature_0_takes_the_most_probable(decoding: Decoding) -> None:
    steps = [scores_of(step, rows=3) for step in range(MIN_FRAMES * SLOTS)]
    for row, said in enumerate(say(decoding, GREEDY, [1, 2, 3], steps)):
        for step, (scores, token) in enumerate(zip(steps, said, strict=True)):
            allowed = scores[row].clone()
            allowed[LAYOUT.eos] = -torch.inf
            if decoding == "framed":
                start = LAYOUT.slot_start(step % SLOTS)
                assert token == start + int(allowed[start : start + SIZE].argmax())
            else:
                assert token == int(allowed.argmax())


def test_same_seed_same_free_draws_whatever_stands_beside() -> None:
    sampling = Sampling(1.0, 0.95, 1.2)
    by_seed = {seed: [scores_of(1000 * seed + step) for step in range(60)] for seed in range(9)}

    def said(seeds: list[int], max_tokens: int, padding: int = 0) -> dict[int, list[int]]:
        steps = [torch.cat([by_seed[seed][step] for seed in seeds]) for step in range(60)]
        prompt = torch.zeros(len(seeds), 3 + padding, dtype=torch.long)
        sampler = free_sampler(sampling, seeds, prompt_length=3 + padding, max_tokens=max_tokens)
        return dict(zip(seeds, speak_freely(sampler, steps, prompt), strict=True))

    alone = {seed: said([seed], 60)[seed] for seed in by_seed}
    assert said([4], 60)[4] == alone[4]
    assert said(list(by_seed), 60) == alone
    assert said(list(by_seed)[::-1], 200, padding=9) == alone
    assert said([7, 3, 5], 61, padding=1) == {seed: alone[seed] for seed in (7, 3, 5)}


def test_same_seed_same_framed_draws_whatever_stands_beside() -> None:
    sampling = Sampling(1.0, 0.95, 1.2)
    by_seed = {seed: [scores_of(1000 * seed + step) for step in range(9 * SLOTS)] for seed in range(9)}

    def said(by_place: dict[int, int], cap: int = 9) -> dict[int, list[int]]:
        count = max(by_place) + 1
        steps = [
            torch.cat([by_seed[by_place[place]][step] if place in by_place else scores_of(0) for place in range(count)])
            for step in range(9 * SLOTS)
        ]
        places = list(by_place)
        rows = begun(sampling, [by_place[place] for place in places], cap=cap, places=places)
        spoken = speak_framed(rows, steps)
        return {seed: spoken[place] for place, seed in by_place.items()}

    alone = {seed: said({0: seed})[seed] for seed in by_seed}
    assert any(tokens[-1] == LAYOUT.eos for tokens in alone.values())
    assert any(len(tokens) == 9 * SLOTS for tokens in alone.values())
    assert said({5: 4})[4] == alone[4]
    assert said(dict(enumerate(by_seed))) == alone
    assert said(dict(enumerate(reversed(by_seed))), cap=30) == alone
    assert said({2: 7, 6: 3, 0: 5}, cap=10) == {seed: alone[seed] for seed in (7, 3, 5)}


def test_another_seed_is_another_row() -> None:
    scores = scores_of(0).expand(50, -1)
    rows = say("framed", Sampling(1.0, 1.0, 1.0), list(range(50)), [scores] * 28)
    assert len({tuple(row) for row in rows}) == 50


def test_a_row_goes_on_in_another_place_as_if_nothing_had_happened() -> None:
    steps = [scores_of(step).repeat(4, 1) for step in range(8 * SLOTS)]
    for scores in steps:
        scores[:, LAYOUT.eos] = -30
    sampling = Sampling(1.0, 1.0, 1.3)
    stayed = begun(sampling, [1, 2, 3, 4], cap=8)
    moved = begun(sampling, [1, 2, 3, 4], cap=8)
    speak_framed(stayed, steps)
    speak_framed(moved, steps[: 5 * SLOTS])
    moved.stop(0)
    moved.move(3, 0)
    speak_framed(moved, steps[5 * SLOTS :])
    assert [said_by(moved, place) for place in range(3)] == [said_by(stayed, place) for place in (3, 1, 2)]
    assert moved.live.tolist() == [1, 1, 1, 0]
    assert moved.position.tolist()[:3] == stayed.position.tolist()[:3] == [1 + 8 * SLOTS] * 3


def test_a_place_is_as_good_as_new_for_the_next_row() -> None:
    steps = [scores_of(step) for step in range(8 * SLOTS)]
    sampling = Sampling(1.0, 1.0, 1.3)
    [fresh] = speak_framed(begun(sampling, [2], cap=8), steps)
    used = begun(sampling, [1], cap=8)
    speak_framed(used, [scores.masked_fill(scores == scores.max(), math.nan) for scores in steps])
    assert used.broken.tolist() == [1]
    used.admit([0], [Request("2", VOICE, "No.", 2, 8)], [[1, 2, 3]])
    assert used.status.tolist() == [[0], [1], [0], [0]]
    assert (used.token.tolist(), used.position.tolist()) == ([3], [2])
    assert speak_framed(used, steps) == [fresh]


def test_what_is_fed_next_is_what_was_said_last() -> None:
    rows = begun(Sampling(1.0, 1.0, 1.0), [1, 2])
    assert (rows.token.tolist(), rows.position.tolist()) == ([LAYOUT.sos] * 2, [1, 1])
    for slot in range(SLOTS):
        rows.take(slot, offered(scores_of(slot, rows=2), slot))
        assert rows.token.tolist() == [LAYOUT.slot_start(slot) + int(code) for code in rows.codes[:, 0, slot]]
        assert rows.position.tolist() == [2 + slot] * 2


@pytest.mark.parametrize("temperature", [0.0, 0.4])
@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_rows_end_as_soon_as_they_may_but_not_before_the_minimum(decoding: Decoding, temperature: float) -> None:
    steps = [scores_of(step, rows=2) for step in range((MIN_FRAMES + 1) * SLOTS)]
    for scores in steps:
        scores[:, LAYOUT.eos] = 100
    for row in say(decoding, Sampling(temperature, 0.9, 1.1), [1, 2], steps):
        assert row.index(LAYOUT.eos) == MIN_FRAMES * SLOTS


@pytest.mark.parametrize("eos", [-100.0, 100.0])
def test_a_row_stops_at_its_own_cap_and_may_end_right_behind_it(eos: float) -> None:
    caps = [4, 6, 9]
    steps = [scores_of(step, rows=3) for step in range(12 * SLOTS)]
    for step, scores in enumerate(steps):
        scores[:, LAYOUT.eos] = eos if step // SLOTS in caps else -100
    rows = Rows(3, max(caps), LAYOUT, GREEDY, CPU)
    requests = [Request(str(cap), VOICE, "Yes.", cap, cap) for cap in caps]
    rows.admit([0, 1, 2], requests, [[LAYOUT.sos]] * 3)
    if eos > 0:
        speak_framed(rows, steps)
        assert rows.frames.tolist() == [4, 4, 4]
        rows.admit([0, 1, 2], requests, [[LAYOUT.sos]] * 3)
        steps[4 * SLOTS][1:, LAYOUT.eos] = steps[6 * SLOTS][2, LAYOUT.eos] = -100
    speak_framed(rows, steps)
    assert rows.frames.tolist() == caps
    assert rows.live.tolist() == [0, 0, 0]
    assert rows.ended.tolist() == [eos > 0] * 3


def test_nothing_changes_of_a_row_that_is_over() -> None:
    rows = begun(Sampling(), [1, 2], cap=4)
    quiet, loud = scores_of(0, rows=2), scores_of(1, rows=2)
    quiet[:, LAYOUT.eos], loud[:, LAYOUT.eos] = -100, 100
    speak_framed(rows, [quiet] * (4 * SLOTS))
    rows.stop(1)
    speak_framed(rows, [quiet] * SLOTS)
    said, fed = [said_by(rows, place) for place in (0, 1)], rows.position.tolist()
    speak_framed(rows, [loud] * SLOTS + [loud * math.nan] * SLOTS)
    assert rows.status.tolist() == [[4, 4], [0, 0], [0, 0], [0, 0]]
    assert [said_by(rows, place) for place in (0, 1)] == said
    assert rows.position.tolist() == fed


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
    sampler = free_sampler(Sampling(0, 1.0, 1.5), [1, 2], prompt_length=4)
    said = speak_freely(sampler, [torch.stack([row, other])] * 3, prompt)
    # Once each: then both are penalized, and the order is as before.
    assert said == [[first, second, first], [second, first, second]]


@pytest.mark.parametrize("text", [0, LAYOUT.pad, LAYOUT.eos, LAYOUT.code_offset - 1])
def test_the_penalty_leaves_all_but_speech_alone(text: int) -> None:
    scores = torch.full((1, VOCABULARY), -40.0)
    scores[0, text], scores[0, LAYOUT.code_offset] = 2.0, 1.9
    ids = torch.zeros(1, 3 + MIN_FRAMES * SLOTS, dtype=torch.long)  # long enough for an end
    sampler = free_sampler(Sampling(0, 1.0, 2.0), [1])
    for _ in range(5):
        token = int(sampler(ids, scores).argmax())
        assert token == text
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)


def test_the_penalty_of_framed_rows_is_a_matter_of_each_slot() -> None:
    """The same code in another slot is another token."""
    scores = torch.full((1, VOCABULARY), -40.0)
    for slot in range(SLOTS):
        scores[0, LAYOUT.slot_start(slot) + 5], scores[0, LAYOUT.slot_start(slot) + 6] = 2.0, 1.9
    [tokens] = say("framed", Sampling(0, 1.0, 1.5), [1], [scores] * (3 * SLOTS))
    assert LAYOUT.frames(tokens).tolist() == [[5] * SLOTS, [6] * SLOTS, [5] * SLOTS]


def test_the_penalty_of_framed_rows_leaves_their_end_alone() -> None:
    rows = begun(Sampling(0, 1.0, 1.5), [1])
    made_to_say(SAID, rows, 1)
    logits = torch.full((1, SIZE + 1), -40.0)
    logits[0, SAID[0, 0]], logits[0, SIZE] = 2.0, 1.5
    rows.take(0, logits)
    assert rows.ended.tolist() == [1]


@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_a_penalty_of_1_changes_nothing(decoding: Decoding) -> None:
    scores = torch.full((1, VOCABULARY), -40.0)
    for slot in range(SLOTS):
        scores[0, LAYOUT.slot_start(slot)], scores[0, LAYOUT.slot_start(slot) + 1] = 2.0 - slot / 10, 1.999 - slot / 10
    spoken = LAYOUT.tokens(torch.zeros(2, SLOTS).numpy().astype("uint16"))
    [said] = say(decoding, GREEDY, [1], [scores] * len(spoken))
    assert said == (spoken if decoding == "framed" else [LAYOUT.code_offset] * len(spoken))


def test_the_penalty_is_that_of_transformers() -> None:
    """Over the same tokens, transformers' own processor gives the same order."""
    steps = [scores_of(step) for step in range(MIN_FRAMES * SLOTS)]
    for scores in steps:
        scores[:, : LAYOUT.code_offset] = -40
    [said] = speak_freely(free_sampler(Sampling(0, 1.0, 1.4), [1]), steps)
    theirs = RepetitionPenaltyLogitsProcessor(penalty=1.4)
    ids = torch.zeros(1, 0, dtype=torch.long)
    for scores, token in zip(steps, said, strict=True):
        assert token == int(theirs(ids, scores.clone()).argmax())
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)


@pytest.mark.parametrize("words", [1, 3, 20])
def test_the_drawn_end_of_a_row_is_so_many_tokens_a_word(words: int) -> None:
    text, low, high = " ".join(["word"] * words), 20, 50
    ends = [drawn_end(seed, text, (low, high)) for seed in range(400)]
    least, most = (max(round(words * bound / SLOTS), MIN_FRAMES) for bound in (low, high))
    assert (min(ends), max(ends)) == (least, most)
    assert abs(median(ends) - (least + most) / 2) <= 0.05 * most + (words == 1)


def test_random_weights_end_where_it_was_drawn() -> None:
    layout = replace(LAYOUT, drawn_pace=(20, 40))
    steps = [scores_of(step).expand(40, -1).clone() for step in range(12 * SLOTS)]
    for scores in steps:
        scores[:, LAYOUT.eos] = 100  # what the model would do is of no account
    sampling = Sampling(0.4, 0.9, 1.1)
    rows = begun(sampling, range(40), layout=layout, cap=11)
    requests = [Request(str(seed), VOICE, "Come in now.", seed, 11) for seed in range(40)]
    rows.admit(list(range(40)), requests, [[layout.sos]] * 40)
    said = speak_framed(rows, steps)
    ends = [drawn_end(seed, "Come in now.", (20, 40)) for seed in range(40)]
    assert [len(row) for row in said] == [min(end, 11) * SLOTS + (end <= 11) for end in ends]
    assert {end > 11 for end in ends} == {True, False}
    assert rows.ended.tolist() == [end <= 11 for end in ends]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("slot", "column"), [(0, 3), (0, SIZE), (4, 15)])
def test_a_score_that_is_no_number_is_put_on_record_for_its_row_alone(value: float, slot: int, column: int) -> None:
    rows = begun(Sampling(), [1, 2, 3])
    rows.stop(2)
    for at in range(SLOTS):
        logits = offered(scores_of(at, rows=3), at)
        if at == slot:
            logits[1:, column] = value
        rows.take(at, logits)
    rows.finish_frame(3)
    assert rows.broken.tolist() == [0, 1, 0]


def poisoned_forward(llama: Llama, value: float, row: int, call: int) -> Iterator[None]:
    """Its steps give `value` for one row, from the given call on."""
    forward, calls = llama.forward, 0

    def poison(hidden: torch.Tensor, attend: Attend) -> torch.Tensor:
        nonlocal calls
        calls += 1
        result = forward(hidden, attend)
        if calls > call:
            result[row] = value
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llama, "forward", poison)
        yield


@contextmanager
def poisoned(engine: HfEngine, decoding: Decoding, value: float, row: int, call: int) -> Iterator[None]:
    """The model's scores hold `value` in one row, from its given call on."""
    if decoding == "framed":
        yield from poisoned_forward(engine._llama, value, row, call)
        return
    calls = 0

    def poison(_module: object, _inputs: object, scores: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > call:
            scores = scores.clone()
            scores[row] = value
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
    with poisoned(engine, decoding, value, 1, call=3), pytest.raises(MachineError, match="not numbers"):
        list(engine.generate(requests, Sampling(), decoding))


@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_an_end_that_is_no_number_ends_the_run(engine: HfEngine, decoding: Decoding) -> None:
    request = Request("1", VOICE, "Yes.", 1, MIN_FRAMES)
    weight, eos = engine.model.lm_head.weight.data, engine.layout.eos
    kept = weight[eos].clone()
    try:
        weight[eos] = math.nan
        with pytest.raises(MachineError, match="not numbers"):
            list(engine.generate([request], Sampling(), decoding))
    finally:
        weight[eos] = kept


def test_a_free_row_ticks_at_every_token(engine: HfEngine) -> None:
    """Whoever watches may show the time, or stop the run by raising."""
    request = Request("1", VOICE, "Yes.", 1, MIN_FRAMES)
    times: list[int] = []
    list(engine.generate([request], GREEDY, "free", lambda: times.append(len(times))))
    assert len(times) == MIN_FRAMES * SLOTS + 1

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        list(engine.generate([request], GREEDY, "free", stop))
