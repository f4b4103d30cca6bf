"""A GPU that failed in mid-run: the program is run anew in this process, once, and goes on with what is stored.

After a CUDA error nothing that lies on the GPU can be used any more, and CUDA cannot be begun a second time in the
same program. So the same command line replaces this program, by `execv`, with the deadline that was set before.
"""

import json
import os
import sys
from dataclasses import asdict
from datetime import datetime
from typing import NoReturn

from maya_batch.deadline import Deadline
from maya_batch.stop import hold_back

#: The environment's variable that tells the second start: whose it is, and the deadline of the first one.
_MARK = "MAYA_BATCH_BEGUN_ANEW"


def begun_anew() -> Deadline | None:
    """The deadline of the first start where this is the second one of the same run, None where it is the first.

    A process keeps its number when its program is run anew; a mark with another one was inherited and means nothing.
    """
    try:
        mark = json.loads(os.environ.get(_MARK, "null"))
        if mark is None or mark["process"] != os.getpid():
            return None
        until = None if mark["until"] is None else datetime.fromisoformat(mark["until"])
        return Deadline(until, None if mark["after"] is None else float(mark["after"]))
    except (ValueError, TypeError, KeyError):
        return None


def begin_anew(deadline: Deadline) -> NoReturn:
    """Run the same command line in place of this program, with this deadline.

    The monotonic clock that a deadline may count on is the machine's, and goes on.

    Raises:
        OSError: the interpreter is gone; everything is as it was.
    """
    values = asdict(deadline) | {"process": os.getpid()}
    os.environ[_MARK] = json.dumps(values, default=datetime.isoformat)
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208  (names alone)
        try:
            if int(descriptor) > sys.stderr.fileno():
                os.set_inheritable(int(descriptor), False)  # what holds the broken GPU is closed by the change
        except OSError:
            continue  # the listing's own
    sys.stdout.flush()
    sys.stderr.flush()
    hold_back()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
