"""Requests that join a running batch: retries before all that wait, later ones after them."""

from collections.abc import MutableMapping, Sequence

from maya_batch.engine.api import Hooks, Request
from maya_batch.engine.batch_budget import SequenceNeed, sequence_needs
from maya_batch.engine.prompts import Prompts

#: Requests with their prompts.
Prompted = list[tuple[Request, list[int]]]


def noting(hooks: Hooks, pending: MutableMapping[str, Request]) -> Hooks:
    """The same hooks, which also put the requests that they return into `pending`, by key."""

    def noted(requests: Sequence[Request]) -> Sequence[Request]:
        pending.update((request.key, request) for request in requests)
        return requests

    return Hooks(hooks.tick, lambda: noted(hooks.retries()), lambda: noted(hooks.later()))


class Joining:
    """Asks for requests that join one batch.

    The batch has memory for sequences as long as its longest one. A longer one does not join: it is left to the next
    batch, and until then no later ones are asked for, so that all start in the order given.
    """

    def __init__(self, needs: Sequence[SequenceNeed], prompts: Prompts, hooks: Hooks) -> None:
        """`needs` are those of the requests that the batch was planned for."""
        self._frames = max(need.max_frames for need in needs)
        self._positions = max(need.max_positions for need in needs)
        self._prompts, self._hooks = prompts, hooks
        self._left = False

    def retries(self) -> Prompted:
        """Finished requests to generate again."""
        return self._joining(self._hooks.retries())

    def later(self) -> Prompted:
        """Further requests."""
        return [] if self._left else self._joining(self._hooks.later())

    def _joining(self, requests: Sequence[Request]) -> Prompted:
        prompted = self._prompts.with_requests(requests)
        needs = sequence_needs(requests, [prompt for _, prompt in prompted])
        joining = [
            one
            for one, need in zip(prompted, needs, strict=True)
            if need.max_frames <= self._frames and need.max_positions <= self._positions
        ]
        self._left = self._left or len(joining) < len(prompted)
        return joining
