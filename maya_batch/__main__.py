"""`python -m maya_batch` is `maya-batch`: signals are heard before the command line and all it needs are loaded."""

import os


def main() -> None:
    """Run the command line, and exit."""
    try:
        from maya_batch.interrupt import Stop

        stop = Stop()
        stop.install()
    except KeyboardInterrupt:
        os._exit(4)  # the constant's module may be what was being loaded
    from maya_batch.messages.standard_streams import hold_descriptors

    hold_descriptors()
    from maya_batch.cli import main as run

    run(stop)


if __name__ == "__main__":
    main()
