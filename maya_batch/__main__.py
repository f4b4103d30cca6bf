"""`python -m maya_batch` is `maya-batch`: signals are heard before the command line and all it needs are loaded."""

import atexit
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maya_batch.run.loading import Loaders


class _End:
    """Ends the process once the command and all that is registered for the end are done.

    The interpreter would free each object and module, one after the other, for 0.3 s where PyTorch was loaded.
    """

    exit_code: int | None = None
    """None: the command has not ended as commands do, and the interpreter ends."""

    def __call__(self) -> None:
        if self.exit_code is not None:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(self.exit_code)


def main() -> None:
    """What `maya-batch` runs: `run`, and a quick end."""
    end = _End()
    atexit.register(end)  # what is registered first is called last
    try:
        run()
    except SystemExit as error:
        if isinstance(error.code, int):
            end.exit_code = error.code
        raise


def run(loaders: "Loaders | None" = None) -> None:
    """Run the command line, and exit. `loaders` load the model, the codec and the speech recognition, where not as
    usual.
    """
    try:
        from maya_batch.interrupt import Stop

        stop = Stop()
        stop.install()
    except KeyboardInterrupt:
        os._exit(4)  # the constant's module may be what was being loaded
    from maya_batch.interpreter import collect_rarely, with_room_for_calls

    collect_rarely()
    # It would read the metadata of all packages on this machine, in search of some that change how it validates.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # NumPy's products are small here. Its other threads gain nothing, and while they wait, each keeps a core busy.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from maya_batch.messages.standard_streams import hold_descriptors

    hold_descriptors()
    from maya_batch.cli import main as command_line

    with_room_for_calls(command_line)(stop, loaders)


if __name__ == "__main__":
    main()
