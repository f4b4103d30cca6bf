"""A GPU that failed in mid-run: the program is run anew in this process, once, and goes on with what is stored.

After a CUDA error nothing that lies on the GPU can be used any more, and CUDA cannot be begun a second time in the
same program. So the same command line replaces this program, by `execv`, with what the first start has to tell.
"""

import json
import os
import sys
from dataclasses import dataclass, field
from datetime import datetime

from maya_batch.interrupt import signals_blocked
from maya_batch.run.deadline import Deadline

#: The environment's variable that tells the second start: whose it is, and what the first one knew.
_VARIABLE = "MAYA_BATCH_BEGUN_ANEW"


@dataclass(frozen=True)
class Attempts:
    """What there was of a chunk before it was spoken once more."""

    made: int
    """The number of its last take, 0 where there was none."""
    used: int | None
    """The number of the take that was in use."""


@dataclass(frozen=True)
class FirstStart:
    """What the second start has to know of the first one."""

    deadline: Deadline = field(default_factory=Deadline)
    before: dict[str, Attempts] = field(default_factory=dict)
    """By ref, of chunks that are spoken once more."""


def previous_start() -> FirstStart | None:
    """The first start where this is the second one of the same run, None where it is the first.

    A process keeps its number when its program is run anew; a mark with another one was inherited and means nothing.
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
    """Run the same command line in place of this program, and tell it of this start; there is no coming back.

    The monotonic clock that a deadline may count on is the machine's, and goes on.

    Raises:
        OSError: the interpreter is gone, or there is too much to tell; everything is as it was.
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
                os.set_inheritable(int(descriptor), False)  # what holds the broken GPU is closed by the change
        except OSError:
            continue  # the listing's own
    sys.stdout.flush()
    sys.stderr.flush()
    with signals_blocked():
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
