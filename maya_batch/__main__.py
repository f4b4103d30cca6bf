"""`python -m maya_batch` is `maya-batch`."""

from maya_batch.cli import main

if __name__ == "__main__":
    main()
