"""A restart, once, after the GPU failed: the second start continues with the stored takes.

After a CUDA error nothing on the GPU can be used, and CUDA cannot be initialized a second time in the same program.
Therefore `execv` replaces this program by the same command line; an environment variable carries what it must know.
"""

import json
import os
import sys
from dataclasses import dataclass, field
from datetime import datetime

from maya_batch.interrupt import signals_blocked
from maya_batch.run.deadline import Deadline

#: The environment variable for the second start: the process it belongs to, and what the first start knew.
_VARIABLE = "MAYA_BATCH_FIRST_START"


@dataclass(frozen=True)
class Attempts:
    """The takes of a chunk before `redo` made one more."""

    made: int
    """The number of its last take; 0: none."""
    used: int | None
    """The number of the take that was in use."""


@dataclass(frozen=True)
class FirstStart:
    """What the second start must know of the first one."""

    deadline: Deadline = field(default_factory=Deadline)
    before: dict[str, Attempts] = field(default_factory=dict)
    """By ref, of the chunks that `redo` renders again."""


def previous_start() -> FirstStart | None:
    """The first start if this is the second one of the same run; None in the first start.

    `execv` keeps the process number. A variable with another number was inherited, and is ignored.
    """
    try:
        note = json.loads(os.environ.get(_VARIABLE, "null"))
        if note is None or note["process"] != os.getpid():
            return None
        until = None if note["until"] is None else datetime.fromisoformat(note["until"])
        deadline = Deadline(until, None if note["after"] is None else float(note["after"]))
        return FirstStart(deadline, {ref: Attempts(made, used) for ref, (made, used) in note["before"].items()})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None


def restart_program(first: FirstStart) -> None:
    """Replace this program by the same command line, and tell it of this start. Does not return.

    A deadline stays valid: the monotonic clock belongs to the machine, not to the process.

    Raises:
        OSError: the interpreter is gone, or the variable is too long; nothing has changed.
    """
    deadline = first.deadline
    note = {
        "process": os.getpid(),
        "until": None if deadline.until is None else deadline.until.isoformat(),
        "after": deadline.after,
        "before": {ref: (attempts.made, attempts.used) for ref, attempts in first.before.items()},
    }
    os.environ[_VARIABLE] = json.dumps(note, separators=(",", ":"))
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208  (names alone)
        try:
            if int(descriptor) > 2:
                os.set_inheritable(int(descriptor), False)  # `execv` closes what holds the broken GPU
        except OSError:
            continue  # the descriptor of the listing itself
    sys.stdout.flush()
    sys.stderr.flush()
    with signals_blocked():
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
