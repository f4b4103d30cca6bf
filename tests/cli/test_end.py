"""How the process ends: with the command's exit code, after all that is registered for the end."""

import subprocess
import sys

START = """
import atexit, sys
import maya_batch.__main__ as program

class Kept:
    def __del__(self):
        print("freed")

kept = Kept()

def run():
    atexit.register(print, "registered")
    print("said")
    {ends}

program.run = run
program.main()
"""


def ended(ends: str) -> tuple[int, str, str]:
    """Exit code and output of a process whose command does this last."""
    done = subprocess.run([sys.executable, "-c", START.format(ends=ends)], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_a_command_ends_after_what_is_registered_and_without_freeing_objects() -> None:
    assert ended("sys.exit(3)") == (3, "said\nregistered\n", "")
    assert ended("sys.exit(0)") == (0, "said\nregistered\n", "")


def test_any_other_end_is_the_interpreters() -> None:
    assert ended("sys.exit('a line')") == (1, "said\nregistered\nfreed\n", "a line\n")
    code, out, err = ended("raise ValueError('no')")
    assert (code, out, err.splitlines()[-1]) == (1, "said\nregistered\nfreed\n", "ValueError: no")
