"""Chapters cut on several cores. Each test has a new interpreter: this one has threads, so it is not forked."""

import os
import subprocess
import sys
import threading

import pytest

from maya_batch.book.parallel_cutting import cut_chapters

needs_cores = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="needs Linux and two cores"
)


def run(program: str) -> str:
    before = (
        "import os, signal, threading\nfrom maya_batch.book.parallel_cutting import cut_chapters\nfirst = os.getpid()\n"
    )
    ran = subprocess.run([sys.executable, "-c", before + program], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    return ran.stdout


@needs_cores
def test_long_chapters_are_cut_by_several_processes_and_stay_in_order() -> None:
    program = """
found = cut_chapters(lambda number: (number, os.getpid()), [200_000] * 7)
assert [number for number, _ in found] == list(range(7)), found
assert len({process for _, process in found}) > 1
"""
    run(program)


@needs_cores
def test_an_error_of_a_helper_is_raised_here() -> None:
    program = """
def cut(number):
    if os.getpid() != first:
        raise UnicodeEncodeError("utf-8", "x", 0, 1, f"chapter {number}")
try:
    cut_chapters(cut, [200_000] * 2)
except UnicodeEncodeError as error:
    print(error.reason)
"""
    assert run(program) == "chapter 1\n"


@needs_cores
def test_what_a_killed_helper_had_is_cut_here() -> None:
    program = """
def cut(number):
    if os.getpid() != first:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
print(cut_chapters(cut, [200_000] * 3))
"""
    assert run(program) == "[0, 1, 2]\n"


@needs_cores
def test_no_helper_outlives_an_error() -> None:
    program = """
def cut(number):
    if os.getpid() != first:
        signal.pause()
    raise ValueError
try:
    cut_chapters(cut, [200_000] * 2)
except ValueError:
    pass
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("none")
"""
    assert run(program) == "none\n"


def test_a_short_book_and_a_program_with_threads_are_not_forked() -> None:
    program = """
assert set(cut_chapters(lambda number: os.getpid(), [1000] * 7)) == {first}
assert cut_chapters(lambda number: number, []) == []
"""
    run(program)
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    try:
        assert set(cut_chapters(lambda _: os.getpid(), [200_000] * 7)) == {os.getpid()}
    finally:
        over.set()
        other.join()
