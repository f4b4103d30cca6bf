"""What every command that uses a model runs in: signals, what PyTorch fails with, and the new start after a GPU that
failed.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from maya_batch.errors import GpuLostError, is_of_a_signal
from maya_batch.interrupt import STOPPED, Interruption, Stop
from maya_batch.run.deadline import Deadline
from maya_batch.run.gpu_restart import FirstStart, previous_start, restart_program
from maya_batch.torch_errors import translated_torch_errors

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Guarded:
    """What a run has from its guard."""

    stop: Stop
    """Whether it is to stop."""
    first: FirstStart
    """Its first start, which may be this one; what it is told here, the second one knows."""


@contextmanager
def guarded(stop: Stop, line: str = STOPPED, deadline: Deadline | None = None) -> Iterator[Guarded]:
    """Inside, signals are raised, and PyTorch's errors are told in one line; a GPU that fails costs one new start.

    The `deadline` of the first start is that of the second one, too.

    Raises:
        Interruption: a signal came; it says `line`.
        GpuLostError: the GPU failed a second time, or when the run was to stop.
        MachineError: the memory is full, or PyTorch failed in another way.
    """
    known = previous_start()
    guard = Guarded(stop, known or FirstStart(deadline or Deadline()))
    with stop.interrupts(line):
        try:
            with translated_torch_errors():
                yield guard
        except Exception as error:
            if is_of_a_signal(error):
                raise Interruption(line) from error
            if isinstance(error, GpuLostError) and known is None and not stop.requested:
                log.warning("%s; the run begins anew", error)
                with suppress(OSError):
                    restart_program(guard.first)
            raise
