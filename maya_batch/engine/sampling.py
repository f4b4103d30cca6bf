"""Draws speech tokens. The random numbers of each sequence come from its own seed.

The codes of a sequence therefore do not depend on the other sequences of the batch; `generate` itself draws one
multinomial for the whole batch.
"""

import numpy as np
import torch
from numpy.typing import NDArray

#: From this top-p on, all columns are sorted: so little is left out that rounding could add up to more.
_NEARLY_ALL = 0.999


def random_numbers(seed: int, count: int) -> NDArray[np.float32]:
    """A sequence's random numbers in [0, 1), one for each token.

    Counter-based (Philox, keyed by the seed): the number of a token does not depend on the count.
    """
    return np.random.Generator(np.random.Philox(key=seed)).random(count, dtype=np.float32)


def draw(logits: torch.Tensor, uniform: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """Draw one column of `logits` [sequences, columns] for each sequence, with `uniform` [sequences] in [0, 1).

    Top-p keeps the smallest set of the most probable columns whose probabilities add up to at least `top_p`.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    probabilities, order = _sorted((logits / temperature).softmax(dim=-1), top_p)
    cumulative = probabilities.cumsum(dim=-1)
    # At least one: a sequence of NaN, which the caller reports, must not pick column -1.
    kept = (cumulative - probabilities < top_p).sum(dim=-1).clamp(min=1)
    mass = cumulative.gather(1, (kept - 1).unsqueeze(1))
    picked = (cumulative <= uniform.unsqueeze(1) * mass).sum(dim=-1)
    # With rounding, uniform * mass can be the last kept sum itself.
    picked = torch.minimum(picked, kept - 1)
    return order.gather(1, picked.unsqueeze(1)).squeeze(1)


def penalized(logits: torch.Tensor, drawn: torch.Tensor, penalty: float) -> torch.Tensor:
    """Apply CTRL's repetition penalty to the `drawn` columns [sequences, columns], never to prompt or padding."""
    return torch.where(drawn, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def in_grammar_probability(slot_logits: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """How likely a token drawn by `logits` [sequences, vocabulary] is one of those of `slot_logits`: [sequences].

    It is NaN if a logit is not finite.
    """
    unconstrained = logits.float()
    probability = (slot_logits.float().logsumexp(dim=-1) - unconstrained.logsumexp(dim=-1)).exp()
    return probability.masked_fill(~unconstrained.isfinite().all(dim=-1), torch.nan)


def _sorted(probabilities: torch.Tensor, top_p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The probabilities and their columns, the most probable first, equal ones by column: [sequences, most].

    On a CPU, sorting takes longer than anything else here. So it sorts only columns that top-p can keep: those below
    the least of them add up to less than half of what top-p leaves out. On a GPU the shapes must not depend on values.
    """
    if probabilities.device.type != "cpu" or top_p >= _NEARLY_ALL:
        return probabilities.sort(dim=-1, descending=True, stable=True)
    least = (1 - top_p) / 2 / probabilities.shape[1]
    sequence, column = (probabilities >= least).nonzero(as_tuple=True)
    counts = torch.bincount(sequence, minlength=len(probabilities))
    most = max(int(counts.max()), 1)
    place = torch.arange(len(sequence)) - (counts.cumsum(0) - counts)[sequence]
    values = torch.zeros(len(probabilities), most, dtype=probabilities.dtype)
    columns = torch.zeros(len(probabilities), most, dtype=torch.long)
    values[sequence, place] = probabilities[sequence, column]
    columns[sequence, place] = column
    values, order = values.sort(dim=-1, descending=True, stable=True)
    return values, columns.gather(1, order)
