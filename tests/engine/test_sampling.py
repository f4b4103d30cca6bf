import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from maya_batch.checkpoint.token_layout import MIN_FRAMES, SLOTS, TokenLayout
from maya_batch.engine.api import Decoding, Hooks, Request, Sampling
from maya_batch.engine.generate_hooks import SamplingProcessor
from maya_batch.engine.hf_engine import HfEngine
from maya_batch.engine.kernels.llama_layers import Attend, LlamaLayers
from maya_batch.engine.sampling import draw
from maya_batch.engine.sequence_state import SequenceState
from maya_batch.engine.unconstrained import UnconstrainedSampler
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


def scores_of(seed: int, sequences: int = 1, columns: int = VOCABULARY, spread: float = 2.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(sequences, columns, generator=generator) * spread


def unconstrained_sampler(
    sampling: Sampling, seeds: list[int], *, prompt_length: int = 3, max_tokens: int = 200
) -> SamplingProcessor:
    return SamplingProcessor(UnconstrainedSampler(LAYOUT, sampling, seeds, max_tokens, CPU), prompt_length)


def sample_unconstrained(
    sampler: SamplingProcessor, scores: list[torch.Tensor], prompt: torch.Tensor | None = None
) -> list[list[int]]:
    """The tokens of each sequence when these scores [sequences, vocabulary] come one after the other."""
    ids = torch.zeros(scores[0].shape[0], 3, dtype=torch.long) if prompt is None else prompt
    start = ids.shape[1]
    for step in scores:
        left = sampler(ids, step)
        assert (left == 0).sum(dim=1).eq(1).all()  # one token is left, and its probability is 1
        assert left.isinf().sum() == left.numel() - len(left)
        ids = torch.cat([ids, left.argmax(dim=-1, keepdim=True)], dim=1)
    tokens: list[list[int]] = ids[:, start:].tolist()
    return tokens


def admitted(
    sampling: Sampling,
    seeds: Sequence[int],
    *,
    max_frames: int = 40,
    batch_slots: Sequence[int] | None = None,
) -> SequenceState:
    """The state of sequences of these seeds that have no frames yet, in the first batch slots or those given."""
    at = list(range(len(seeds))) if batch_slots is None else list(batch_slots)
    state = SequenceState(max(at) + 1, max_frames, LAYOUT, sampling, CPU)
    requests = [Request(str(seed), VOICE, "Yes.", seed, max_frames) for seed in seeds]
    state.admit(at, requests, [[LAYOUT.soh, LAYOUT.sos]] * len(at))
    return state


def offered(scores: torch.Tensor, slot: int) -> torch.Tensor:
    """The columns of the vocabulary's scores that constrained decoding draws from in a slot."""
    start = LAYOUT.slot_start(slot)
    codes = scores[:, start : start + SIZE]
    return torch.cat([codes, scores[:, LAYOUT.eos : LAYOUT.eos + 1]], dim=1) if slot == 0 else codes


def sample_frame(state: SequenceState, scores: Sequence[torch.Tensor]) -> None:
    """Sample a frame from scores [batch slots, vocabulary] for each of its slots."""
    for slot, step in enumerate(scores):
        state.sample(slot, offered(step, slot))
    state.finish_frame(len(scores[0]))


def tokens_of(state: SequenceState, batch_slot: int) -> list[int]:
    """The tokens that a sequence has, EOS included."""
    frames = int(state.frames[batch_slot])
    tokens = LAYOUT.tokens(state.codes[batch_slot, :frames].numpy().astype("uint16"))
    return [*tokens, LAYOUT.eos] if state.ended[batch_slot] else tokens


def sample_constrained(state: SequenceState, scores: list[torch.Tensor]) -> list[list[int]]:
    """The tokens of each batch slot when these scores come one after the other, in whole frames."""
    for step in range(0, len(scores), SLOTS):
        sample_frame(state, scores[step : step + SLOTS])
    return [tokens_of(state, batch_slot) for batch_slot in range(len(scores[0]))]


def sample_with(
    decoding: Decoding, sampling: Sampling, seeds: list[int], scores: list[torch.Tensor]
) -> list[list[int]]:
    if decoding == "framed":
        return sample_constrained(admitted(sampling, seeds), scores)
    return sample_unconstrained(unconstrained_sampler(sampling, seeds, max_tokens=len(scores)), scores)


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
    scores: torch.Tensor, allowed: list[int], drawn: list[int], sampling: Sampling
) -> torch.Tensor:
    """The probabilities of the allowed tokens by transformers' own processors, after the tokens `drawn`."""
    whole = torch.full((1, VOCABULARY), -torch.inf, dtype=torch.float64)
    whole[0, allowed] = scores[0, allowed].double()
    processors = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty),
            TemperatureLogitsWarper(sampling.temperature),
            TopPLogitsWarper(sampling.top_p),
        ]
    )
    warped: torch.Tensor = processors(torch.tensor([drawn], dtype=torch.long), whole)
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
def test_unconstrained_sequences_of_all_seeds_follow_temperature_and_top_p(temperature: float, top_p: float) -> None:
    """One draw each of 20,000 sequences that differ in nothing but their seed."""
    scores = scores_of(3)
    sampler = unconstrained_sampler(Sampling(temperature, top_p, 1.0), list(range(DRAWS)), max_tokens=1)
    drawn = [sequence[0] for sequence in sample_unconstrained(sampler, [scores.expand(DRAWS, -1)])]
    scores[0, LAYOUT.eos] = -torch.inf
    assert_frequencies(torch.tensor(drawn), nucleus(scores[0], temperature, top_p))


SAID = torch.tensor([[5, 5, 0, 15, 2, 9, 5], [7, 5, 1, 14, 2, 8, 4], [5, 3, 0, 13, 6, 9, 3], [7, 11, 1, 12, 6, 8, 2]])
"""The codes of as many frames as must come before an end."""


def force_codes(codes: torch.Tensor, state: SequenceState, count: int) -> None:
    for frame in codes:
        for slot, code in enumerate(frame):
            logits = torch.full((1, SIZE + (slot == 0)), -200.0)
            logits[0, code] = 200.0
            state.sample(slot, logits.expand(count, -1))
        state.finish_frame(count)


@pytest.mark.parametrize("penalty", [1.0, 1.1])
@pytest.mark.parametrize(("temperature", "top_p"), SETTINGS)
def test_constrained_sequences_of_all_seeds_draw_as_transformers_would(
    temperature: float, top_p: float, penalty: float
) -> None:
    """The fifth frame of 20,000 sequences that differ in nothing but their seed, after four equal ones."""
    sampling = Sampling(temperature, top_p, penalty)
    state = admitted(sampling, range(DRAWS), max_frames=6)
    force_codes(SAID, state, DRAWS)
    assert state.codes[:, : len(SAID)].eq(SAID).all()
    drawn_tokens = LAYOUT.tokens(SAID.numpy().astype("uint16"))
    for slot in range(SLOTS):
        scores, start = scores_of(10 + slot), LAYOUT.slot_start(slot)
        allowed = list(range(start, start + SIZE))
        scores[0, start + SAID[1, slot]] = scores[0, allowed].max() + 0.2
        scores[0, start + SAID[2, slot]] = -0.5
        scores -= 12 * (slot % 2)  # below 0, the penalty multiplies
        if slot == 0:
            allowed.append(LAYOUT.eos)
            scores[0, LAYOUT.eos] = scores[0, allowed].max() + 0.05
        expected = transformers_probabilities(scores, allowed, drawn_tokens, sampling)
        unpenalized = transformers_probabilities(
            scores, allowed, drawn_tokens, replace(sampling, repetition_penalty=1.0)
        )
        assert torch.equal(expected, unpenalized) == (penalty == 1.0)
        running = state.live.bool()
        state.sample(slot, offered(scores, slot).expand(DRAWS, -1))
        drawn = state.codes[:, len(SAID), slot].long()
        if slot == 0:
            assert expected[SIZE] > 0.05
            drawn = drawn.masked_fill(state.ended.bool(), SIZE)
            assert torch.equal(state.ended, 1 - state.live)
        assert_frequencies(drawn[running], expected)


@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_draws_of_one_sequence_follow_the_distribution(decoding: Decoding) -> None:
    """All draws of one sequence at the same slot: its random numbers are good ones, one after the other."""
    draws = 5_000
    scores = scores_of(4)
    scores[0, LAYOUT.eos] = -30.0
    sampling = Sampling(1.0, 0.9, 1.0)
    if decoding == "framed":
        state = admitted(sampling, [5], max_frames=draws)
        logits = offered(scores, 0)
        for _ in range(draws):
            state.sample(0, logits)
            state.finish_frame(1)
        assert_frequencies(state.codes[0, :draws, 0].long(), nucleus(logits[0], 1.0, 0.9))
    else:
        sampler = unconstrained_sampler(sampling, [5], max_tokens=draws)
        ids = torch.zeros(1, 1, dtype=torch.long)
        drawn = [int(sampler(ids.expand(1, 3 + step), scores).argmax()) for step in range(draws)]
        assert_frequencies(torch.tensor(drawn), nucleus(scores[0], 1.0, 0.9))


@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_temperature_0_takes_the_most_probable(decoding: Decoding) -> None:
    steps = [scores_of(step, sequences=3) for step in range(MIN_FRAMES * SLOTS)]
    for sequence, tokens in enumerate(sample_with(decoding, GREEDY, [1, 2, 3], steps)):
        for step, (scores, token) in enumerate(zip(steps, tokens, strict=True)):
            allowed = scores[sequence].clone()
            allowed[LAYOUT.eos] = -torch.inf
            if decoding == "framed":
                start = LAYOUT.slot_start(step % SLOTS)
                assert token == start + int(allowed[start : start + SIZE].argmax())
            else:
                assert token == int(allowed.argmax())


def test_same_seed_same_unconstrained_draws_whatever_is_in_the_batch() -> None:
    sampling = Sampling(1.0, 0.95, 1.2)
    by_seed = {seed: [scores_of(1000 * seed + step) for step in range(60)] for seed in range(9)}

    def tokens_by_seed(seeds: list[int], max_tokens: int, padding: int = 0) -> dict[int, list[int]]:
        steps = [torch.cat([by_seed[seed][step] for seed in seeds]) for step in range(60)]
        prompt = torch.zeros(len(seeds), 3 + padding, dtype=torch.long)
        sampler = unconstrained_sampler(sampling, seeds, prompt_length=3 + padding, max_tokens=max_tokens)
        return dict(zip(seeds, sample_unconstrained(sampler, steps, prompt), strict=True))

    alone = {seed: tokens_by_seed([seed], 60)[seed] for seed in by_seed}
    assert tokens_by_seed([4], 60)[4] == alone[4]
    assert tokens_by_seed(list(by_seed), 60) == alone
    assert tokens_by_seed(list(by_seed)[::-1], 200, padding=9) == alone
    assert tokens_by_seed([7, 3, 5], 61, padding=1) == {seed: alone[seed] for seed in (7, 3, 5)}


def test_same_seed_same_constrained_draws_whatever_is_in_the_batch() -> None:
    sampling = Sampling(1.0, 0.95, 1.2)
    by_seed = {seed: [scores_of(1000 * seed + step) for step in range(9 * SLOTS)] for seed in range(9)}

    def tokens_by_seed(by_batch_slot: dict[int, int], max_frames: int = 9) -> dict[int, list[int]]:
        count = max(by_batch_slot) + 1
        steps = [
            torch.cat(
                [
                    by_seed[by_batch_slot[batch_slot]][step] if batch_slot in by_batch_slot else scores_of(0)
                    for batch_slot in range(count)
                ]
            )
            for step in range(9 * SLOTS)
        ]
        batch_slots = list(by_batch_slot)
        state = admitted(
            sampling,
            [by_batch_slot[batch_slot] for batch_slot in batch_slots],
            max_frames=max_frames,
            batch_slots=batch_slots,
        )
        sampled = sample_constrained(state, steps)
        return {seed: sampled[batch_slot] for batch_slot, seed in by_batch_slot.items()}

    alone = {seed: tokens_by_seed({0: seed})[seed] for seed in by_seed}
    assert any(tokens[-1] == LAYOUT.eos for tokens in alone.values())
    assert any(len(tokens) == 9 * SLOTS for tokens in alone.values())
    assert tokens_by_seed({5: 4})[4] == alone[4]
    assert tokens_by_seed(dict(enumerate(by_seed))) == alone
    assert tokens_by_seed(dict(enumerate(reversed(by_seed))), max_frames=30) == alone
    assert tokens_by_seed({2: 7, 6: 3, 0: 5}, max_frames=10) == {seed: alone[seed] for seed in (7, 3, 5)}


def test_another_seed_is_another_sequence() -> None:
    scores = scores_of(0).expand(50, -1)
    sampled = sample_with("framed", Sampling(1.0, 1.0, 1.0), list(range(50)), [scores] * 28)
    assert len({tuple(tokens) for tokens in sampled}) == 50


def test_a_sequence_goes_on_in_another_batch_slot_as_if_nothing_had_happened() -> None:
    steps = [scores_of(step).repeat(4, 1) for step in range(8 * SLOTS)]
    for scores in steps:
        scores[:, LAYOUT.eos] = -30
    sampling = Sampling(1.0, 1.0, 1.3)
    stayed = admitted(sampling, [1, 2, 3, 4], max_frames=8)
    moved = admitted(sampling, [1, 2, 3, 4], max_frames=8)
    sample_constrained(stayed, steps)
    sample_constrained(moved, steps[: 5 * SLOTS])
    moved.stop(0)
    moved.move([3], [0])
    sample_constrained(moved, steps[5 * SLOTS :])
    assert [tokens_of(moved, batch_slot) for batch_slot in range(3)] == [
        tokens_of(stayed, batch_slot) for batch_slot in (3, 1, 2)
    ]
    assert moved.live.tolist() == [1, 1, 1, 0]
    assert moved.position.tolist()[:3] == stayed.position.tolist()[:3] == [1 + 8 * SLOTS] * 3


def test_a_batch_slot_is_as_good_as_new_for_the_next_sequence() -> None:
    steps = [scores_of(step) for step in range(8 * SLOTS)]
    sampling = Sampling(1.0, 1.0, 1.3)
    [fresh] = sample_constrained(admitted(sampling, [2], max_frames=8), steps)
    used = admitted(sampling, [1], max_frames=8)
    sample_constrained(used, [scores.masked_fill(scores == scores.max(), math.nan) for scores in steps])
    assert used.non_finite.tolist() == [1]
    used.admit([0], [Request("2", VOICE, "No.", 2, 8)], [[1, 2, 3]])
    assert used.status.tolist() == [[0], [1], [0], [0]]
    assert (used.token.tolist(), used.position.tolist()) == ([3], [2])
    assert sample_constrained(used, steps) == [fresh]


def test_what_is_fed_next_is_what_was_said_last() -> None:
    state = admitted(Sampling(1.0, 1.0, 1.0), [1, 2])
    assert (state.token.tolist(), state.position.tolist()) == ([LAYOUT.sos] * 2, [1, 1])
    for slot in range(SLOTS):
        state.sample(slot, offered(scores_of(slot, sequences=2), slot))
        assert state.token.tolist() == [LAYOUT.slot_start(slot) + int(code) for code in state.codes[:, 0, slot]]
        assert state.position.tolist() == [2 + slot] * 2


@pytest.mark.parametrize("temperature", [0.0, 0.4])
@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_sequences_end_as_soon_as_they_may_but_not_before_the_minimum(decoding: Decoding, temperature: float) -> None:
    steps = [scores_of(step, sequences=2) for step in range((MIN_FRAMES + 1) * SLOTS)]
    for scores in steps:
        scores[:, LAYOUT.eos] = 100
    for sequence in sample_with(decoding, Sampling(temperature, 0.9, 1.1), [1, 2], steps):
        assert sequence.index(LAYOUT.eos) == MIN_FRAMES * SLOTS


@pytest.mark.parametrize("eos", [-100.0, 100.0])
def test_a_sequence_stops_at_its_own_max_frames_and_may_end_right_behind_it(eos: float) -> None:
    limits = [4, 6, 9]
    steps = [scores_of(step, sequences=3) for step in range(12 * SLOTS)]
    for step, scores in enumerate(steps):
        scores[:, LAYOUT.eos] = eos if step // SLOTS in limits else -100
    state = SequenceState(3, max(limits), LAYOUT, GREEDY, CPU)
    requests = [Request(str(max_frames), VOICE, "Yes.", max_frames, max_frames) for max_frames in limits]
    state.admit([0, 1, 2], requests, [[LAYOUT.sos]] * 3)
    if eos > 0:
        sample_constrained(state, steps)
        assert state.frames.tolist() == [4, 4, 4]
        state.admit([0, 1, 2], requests, [[LAYOUT.sos]] * 3)
        steps[4 * SLOTS][1:, LAYOUT.eos] = steps[6 * SLOTS][2, LAYOUT.eos] = -100
    sample_constrained(state, steps)
    assert state.frames.tolist() == limits
    assert state.live.tolist() == [0, 0, 0]
    assert state.ended.tolist() == [eos > 0] * 3


def test_nothing_changes_of_a_sequence_that_is_over() -> None:
    state = admitted(Sampling(), [1, 2], max_frames=4)
    quiet, loud = scores_of(0, sequences=2), scores_of(1, sequences=2)
    quiet[:, LAYOUT.eos], loud[:, LAYOUT.eos] = -100, 100
    sample_constrained(state, [quiet] * (4 * SLOTS))
    state.stop(1)
    sample_constrained(state, [quiet] * SLOTS)
    tokens, fed = [tokens_of(state, batch_slot) for batch_slot in (0, 1)], state.position.tolist()
    sample_constrained(state, [loud] * SLOTS + [loud * math.nan] * SLOTS)
    assert state.status.tolist() == [[4, 4], [0, 0], [0, 0], [0, 0]]
    assert [tokens_of(state, batch_slot) for batch_slot in (0, 1)] == tokens
    assert state.position.tolist() == fed == [0, 0]  # nothing is attended to for it


@pytest.mark.parametrize("sign", [1, -1])
def test_the_penalty_counts_only_what_the_sequence_has_decoded(sign: int) -> None:
    """Unconstrained and greedy. The prompt is full of `first` and padding, the other sequence has drawn `first`."""
    first, second = LAYOUT.code_offset + 3, LAYOUT.slot_start(2) + 1
    high, low = (2.0, 1.9) if sign > 0 else (-1.9, -2.0)
    sequence = torch.full((VOCABULARY,), -40.0)
    sequence[first], sequence[second] = high, low
    other = sequence.clone()
    other[first], other[second] = low, high
    prompt = torch.tensor([[LAYOUT.pad, first, first, second], [LAYOUT.pad, LAYOUT.pad, second, first]])
    sampler = unconstrained_sampler(Sampling(0, 1.0, 1.5), [1, 2], prompt_length=4)
    tokens = sample_unconstrained(sampler, [torch.stack([sequence, other])] * 3, prompt)
    # Once each: then both are penalized, and the order is as before.
    assert tokens == [[first, second, first], [second, first, second]]


@pytest.mark.parametrize("text", [0, LAYOUT.pad, LAYOUT.eos, LAYOUT.code_offset - 1])
def test_the_penalty_leaves_all_but_speech_alone(text: int) -> None:
    scores = torch.full((1, VOCABULARY), -40.0)
    scores[0, text], scores[0, LAYOUT.code_offset] = 2.0, 1.9
    ids = torch.zeros(1, 3 + MIN_FRAMES * SLOTS, dtype=torch.long)  # long enough for an end
    sampler = unconstrained_sampler(Sampling(0, 1.0, 2.0), [1])
    for _ in range(5):
        token = int(sampler(ids, scores).argmax())
        assert token == text
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)


def test_the_penalty_of_constrained_sequences_is_a_matter_of_each_slot() -> None:
    """The same code in another slot is another token."""
    scores = torch.full((1, VOCABULARY), -40.0)
    for slot in range(SLOTS):
        scores[0, LAYOUT.slot_start(slot) + 5], scores[0, LAYOUT.slot_start(slot) + 6] = 2.0, 1.9
    [tokens] = sample_with("framed", Sampling(0, 1.0, 1.5), [1], [scores] * (3 * SLOTS))
    assert LAYOUT.frames(tokens).tolist() == [[5] * SLOTS, [6] * SLOTS, [5] * SLOTS]


def test_the_penalty_of_constrained_sequences_leaves_their_end_alone() -> None:
    state = admitted(Sampling(0, 1.0, 1.5), [1])
    force_codes(SAID, state, 1)
    logits = torch.full((1, SIZE + 1), -40.0)
    logits[0, SAID[0, 0]], logits[0, SIZE] = 2.0, 1.5
    state.sample(0, logits)
    assert state.ended.tolist() == [1]


@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_a_penalty_of_1_changes_nothing(decoding: Decoding) -> None:
    scores = torch.full((1, VOCABULARY), -40.0)
    for slot in range(SLOTS):
        scores[0, LAYOUT.slot_start(slot)], scores[0, LAYOUT.slot_start(slot) + 1] = 2.0 - slot / 10, 1.999 - slot / 10
    drawn_tokens = LAYOUT.tokens(torch.zeros(2, SLOTS).numpy().astype("uint16"))
    [tokens] = sample_with(decoding, GREEDY, [1], [scores] * len(drawn_tokens))
    assert tokens == (drawn_tokens if decoding == "framed" else [LAYOUT.code_offset] * len(drawn_tokens))


def test_the_penalty_is_that_of_transformers() -> None:
    """Over the same tokens, transformers' own processor gives the same order."""
    steps = [scores_of(step) for step in range(MIN_FRAMES * SLOTS)]
    for scores in steps:
        scores[:, : LAYOUT.code_offset] = -40
    [tokens] = sample_unconstrained(unconstrained_sampler(Sampling(0, 1.0, 1.4), [1]), steps)
    theirs = RepetitionPenaltyLogitsProcessor(penalty=1.4)
    ids = torch.zeros(1, 0, dtype=torch.long)
    for scores, token in zip(steps, tokens, strict=True):
        assert token == int(theirs(ids, scores.clone()).argmax())
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)


@pytest.mark.parametrize("eos", [-100.0, 100.0])
def test_a_sequence_ends_where_its_request_says_whatever_the_model_does(eos: float) -> None:
    """Others of the batch end where the model ends them, and max_frames still holds."""
    steps = [scores_of(step).expand(7, -1).clone() for step in range(12 * SLOTS)]
    for scores in steps:
        scores[:, LAYOUT.eos] = eos
    stops = [4, None, 7, 0, 10, 11, 11]
    state = admitted(Sampling(0.4, 0.9, 1.1), range(7), max_frames=10)
    requests = [Request(str(seed), VOICE, "Come in.", seed, 10, None, stop) for seed, stop in enumerate(stops)]
    state.admit(list(range(7)), requests, [[LAYOUT.sos]] * 7)
    sampled = sample_constrained(state, steps)
    by_model = MIN_FRAMES if eos > 0 else 10
    assert state.frames.tolist() == [4, by_model, 7, 0, 10, 10, 10]
    assert state.ended.tolist() == [1, int(eos > 0), 1, 1, 1, 0, 0]
    assert [len(tokens) for tokens in sampled] == [29, by_model * SLOTS + (eos > 0), 50, 1, 71, 70, 70]


def test_a_batch_slot_forgets_where_its_last_sequence_was_to_end() -> None:
    steps = [scores_of(step) for step in range(8 * SLOTS)]
    sampling = Sampling(1.0, 1.0, 1.3)
    [fresh] = sample_constrained(admitted(sampling, [2], max_frames=8), steps)
    used = admitted(sampling, [1], max_frames=8)
    used.admit([0], [Request("1", VOICE, "No.", 1, 8, None, 1)], [[1, 2, 3]])
    assert len(sample_constrained(used, steps)[0]) == SLOTS + 1
    used.admit([0], [Request("2", VOICE, "No.", 2, 8)], [[1, 2, 3]])
    assert sample_constrained(used, steps) == [fresh]


def test_the_end_that_a_request_says_moves_with_its_sequence() -> None:
    steps = [scores_of(step).repeat(2, 1) for step in range(8 * SLOTS)]
    state = admitted(GREEDY, [1, 2], max_frames=8)
    requests = [Request(str(stop), VOICE, "Yes.", stop, 8, None, stop) for stop in (8, 6)]
    state.admit([0, 1], requests, [[LAYOUT.sos]] * 2)
    sample_constrained(state, steps[: 3 * SLOTS])
    state.move([1], [0])
    sample_constrained(state, steps[3 * SLOTS :])
    assert (state.frames.tolist()[0], state.ended.tolist()[0], state.live.tolist()) == (6, 1, [0, 0])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("slot", "column"), [(0, 3), (0, SIZE), (4, 15)])
def test_a_non_finite_logit_is_recorded_for_its_sequence_alone(value: float, slot: int, column: int) -> None:
    state = admitted(Sampling(), [1, 2, 3])
    state.stop(2)
    for at in range(SLOTS):
        logits = offered(scores_of(at, sequences=3), at)
        if at == slot:
            logits[1:, column] = value
        state.sample(at, logits)
    state.finish_frame(3)
    assert state.non_finite.tolist() == [0, 1, 0]


def poisoned_forward(llama: LlamaLayers, value: float, sequence: int, call: int) -> Iterator[None]:
    """Its steps give `value` for one row, from the given call on."""
    forward, calls = llama.forward, 0

    def poison(hidden: torch.Tensor, attend: Attend) -> torch.Tensor:
        nonlocal calls
        calls += 1
        result = forward(hidden, attend)
        if calls > call:
            result[sequence] = value
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llama, "forward", poison)
        yield


@contextmanager
def poisoned(engine: HfEngine, decoding: Decoding, value: float, sequence: int, call: int) -> Iterator[None]:
    """The model's scores hold `value` in one row, from its given call on."""
    if decoding == "framed":
        yield from poisoned_forward(engine._llama, value, sequence, call)
        return
    calls = 0

    def poison(_module: object, _inputs: object, scores: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > call:
            scores = scores.clone()
            scores[sequence] = value
        return scores

    hook = engine.model.lm_head.register_forward_hook(poison)
    try:
        yield
    finally:
        hook.remove()


@pytest.mark.parametrize("decoding", ["framed", "free"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_logits_end_the_run(engine: HfEngine, decoding: Decoding, value: float) -> None:
    requests = [Request(str(sequence), VOICE, "Yes.", sequence, MIN_FRAMES) for sequence in range(2)]
    with poisoned(engine, decoding, value, 1, call=3), pytest.raises(MachineError, match="not finite"):
        list(engine.generate(requests, Sampling(), decoding))


@pytest.mark.parametrize("decoding", ["framed", "free"])
def test_a_non_finite_logit_of_eos_ends_the_run(engine: HfEngine, decoding: Decoding) -> None:
    request = Request("1", VOICE, "Yes.", 1, MIN_FRAMES)
    weight, eos = engine.model.lm_head.weight.data, engine.layout.eos
    kept = weight[eos].clone()
    try:
        weight[eos] = math.nan
        with pytest.raises(MachineError, match="not finite"):
            list(engine.generate([request], Sampling(), decoding))
    finally:
        weight[eos] = kept


def test_a_unconstrained_sequence_ticks_at_every_token(engine: HfEngine) -> None:
    """`tick` can show the time, or stop the run by raising."""
    request = Request("1", VOICE, "Yes.", 1, MIN_FRAMES)
    times: list[int] = []
    list(engine.generate([request], GREEDY, "free", Hooks(lambda: times.append(len(times)))))
    assert len(times) == MIN_FRAMES * SLOTS + 1

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        list(engine.generate([request], GREEDY, "free", Hooks(stop)))
