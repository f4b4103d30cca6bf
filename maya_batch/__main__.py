"""`python -m maya_batch` is `maya-batch`: signals are heard before the command line and all it needs are loaded."""

import gc
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maya_batch.run.loading import Loaders


def main(loaders: "Loaders | None" = None) -> None:
    """Run the command line, and exit. `loaders` load the model, the codec and the speech recognition, where not as
    usual.
    """
    try:
        from maya_batch.interrupt import Stop

        stop = Stop()
        stop.install()
    except KeyboardInterrupt:
        os._exit(4)  # the constant's module may be what was being loaded
    from maya_batch.garbage_collection import collect_rarely

    collect_rarely()
    # It would read the metadata of all packages on this machine, in search of some that change how it validates.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from maya_batch.messages.standard_streams import hold_descriptors

    hold_descriptors()
    from maya_batch.cli import main as run

    try:
        run(stop, loaders)
    finally:
        gc.freeze()  # else the interpreter would look for cycles in all of them before it ends: 0.1 s after a plan


if __name__ == "__main__":
    main()
