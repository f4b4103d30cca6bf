"""The guard around every command that uses a model: signals, PyTorch's errors, and the restart after a GPU failure."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from maya_batch.errors import GpuLostError, is_of_a_signal
from maya_batch.interrupt import Interruption, Stop
from maya_batch.run.deadline import Deadline
from maya_batch.run.gpu_restart import FirstStart, previous_start, restart_program
from maya_batch.torch_errors import translated_torch_errors
from maya_batch.wording import RESTARTED, STOPPED

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Guarded:
    """What the guard gives to the command inside."""

    stop: Stop
    """Tells when a signal has come."""
    first: FirstStart
    """The first start, which may be this one. What is written into it is known after a restart."""


@contextmanager
def guarded(stop: Stop, line: str = STOPPED, deadline: Deadline | None = None) -> Iterator[Guarded]:
    """Raise signals inside, turn PyTorch's errors into one line, and restart the program once if the GPU fails.

    After a restart the `deadline` of the first start still holds.

    Raises:
        Interruption: a signal came; its message is `line`.
        GpuLostError: the GPU failed a second time, or while the run was being stopped.
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
                log.warning("%s; %s", error, RESTARTED)
                with suppress(OSError):
                    restart_program(guard.first)
            raise
