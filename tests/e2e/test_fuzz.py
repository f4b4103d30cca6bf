"""Thousands of damaged books: each is refused or taken in one bounded message, in time, and costs nobody anything.

`python -m pytest -m soak tests/e2e/test_fuzz.py` runs 10,000; FUZZ=1234 runs that input alone.
"""

import os
import resource
import shutil
import unicodedata
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import util
from pathlib import Path
from time import monotonic

import pytest

from tests.support.fakes import TinyBook, write_codec, write_model
from tests.support.forked_run import Night, launch
from tests.support.fuzzing import Input, copy, damage, others_in, takes_in

MOST_SECONDS, MOST_BYTES = 20.0, 1.5 * 2**30
MOST_LINES, MOST_CHARACTERS = 80, 20_000

TEXT = {"One": ["The night was dark.", "Endless talk.", "“Yes,” she said."], "Two": ["The rain <sigh> was gone."]}


def limited() -> None:
    """In the new process: it may not take the machine's memory, and tells in the end how much it took."""
    resource.setrlimit(resource.RLIMIT_DATA, (4 * 2**30, 4 * 2**30))
    told = Path(os.environ["FAKE_SAY"]).with_suffix(".memory")
    os.chdir(os.environ["FUZZ_CWD"])
    util.Finalize(None, _tell_memory, args=(told,), exitpriority=0)


def _tell_memory(path: Path) -> None:
    path.write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered book with a choice, a take of two attempts, and a file that is nobody's."""
    folder = tmp_path_factory.mktemp("fuzz") / "template"
    write_model(folder / "lm")
    write_codec(folder / "codec")
    tiny = TinyBook(folder)
    tiny.write(TEXT, output={"formats": ["wav"]})
    (folder / "outside").write_text("nobody's")
    (folder / "machine.yaml").write_text("device: cpu\nbatch_size: 2\nverify: 'off'\n")
    for arguments in (["render"], ["redo", "1:1"]):
        run = launch(folder.parent, arguments[0], tiny.path, *arguments[1:])
        assert run.end() in (0, 3), run.said()
    return folder


def problems_of(template: Path, number: int) -> list[str]:
    """What is wrong with what the program makes of this input; nothing, if all is well.

    An exit code that the fork server did not get (255) is asked for once more.
    """
    found = _problems_of(template, number)
    return _problems_of(template, number) if any("exit code 255" in problem for problem in found) else found


def _problems_of(template: Path, number: int) -> list[str]:
    root = template.parent / str(number)
    folder, cwd = root / "book", root / "a" / "b" / "c"
    cwd.mkdir(parents=True)
    copy(template, folder)
    given = damage(folder, number)
    takes, others = takes_in(folder), others_in(folder)
    began = monotonic()
    run = launch(root, *given.arguments, prepare=limited, env={"FUZZ_CWD": cwd})
    found = [*_ending(run, given, began), *_printed(run.said())]
    lost = Counter(takes) - Counter(takes_in(folder))
    found += [f"{lost.total()} takes are lost"] if lost else []
    found += _written(folder, others)
    shutil.rmtree(root, ignore_errors=True)
    return [f"{number}: {given.arguments} after {given.changed}: {problem}" for problem in found]


def _ending(run: Night, given: Input, began: float) -> list[str]:
    if not run.ended(MOST_SECONDS * 3):
        run.kill()
        return [f"it does not end: {run.said()[-500:]}"]
    seconds, code = monotonic() - began, run.process.exitcode
    told = run.steps.with_suffix(".memory")
    memory = int(told.read_text()) if told.exists() else 0
    # A chapter that lacks a take is not put together by these: they end with 4.
    codes = (0, 2, 3, 4, 5) if given.arguments[0] in ("assemble", "redo") else (0, 2, 3, 5)
    found = [] if code in codes else [f"exit code {code}: {run.said()[-1500:]}"]
    found += [f"{seconds:.0f} s"] if seconds > MOST_SECONDS else []
    return found + ([f"{memory / 2**20:.0f} MiB"] if memory > MOST_BYTES else [])


def _printed(said: str) -> list[str]:
    wrong = {c for c in said if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c != "\n"}
    wrong |= {c for c in said if c in "\u202e\u2066\u200f\u200b\ufeff"}
    found = [f"it prints {wrong}"] if wrong else []
    found += ["a traceback: " + said[-1500:]] if "Traceback" in said else []
    found += [f"{said.count(chr(10))} lines"] if said.count("\n") > MOST_LINES else []
    return found + ([f"{len(said)} characters"] if len(said) > MOST_CHARACTERS else [])


def _written(folder: Path, before: dict[str, tuple[int, bytes]]) -> list[str]:
    """What was changed or made outside of the output folder, whichever the book names."""
    after = others_in(folder)
    changed = [name for name, content in before.items() if after.get(name) != content]
    made = [name for name in after.keys() - before.keys() if not _is_output(folder, name)]
    return [f"written outside: {sorted([*changed, *made])[:5]}"] if changed or made else []


def _is_output(folder: Path, name: str) -> bool:
    path = folder / name
    return any((above / ".maya").is_dir() for above in (path, *path.parents) if above.is_relative_to(folder))


def all_problems(template: Path, numbers: Sequence[int]) -> list[str]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [
            problem for found in pool.map(lambda number: problems_of(template, number), numbers) for problem in found
        ]


def test_damaged_books(template: Path) -> None:
    numbers = [int(os.environ["FUZZ"])] if "FUZZ" in os.environ else range(15)
    found = all_problems(template, numbers)
    assert not found, "\n".join(found[:20])


@pytest.mark.soak
def test_ten_thousand_damaged_books(template: Path) -> None:
    first = int(os.environ.get("FUZZ_FROM", "15"))
    found = all_problems(template, range(first, first + int(os.environ.get("FUZZ_COUNT", "10000"))))
    assert not found, f"{len(found)}\n" + "\n".join(found[:40])


def test_the_changes_are_those_of_their_number(template: Path, tmp_path: Path) -> None:
    told = []
    for name in ("first", "second"):
        copy(template, tmp_path / name)
        told.append([change for number in range(15) for change in damage(tmp_path / name, number).changed])
    assert told[0] == told[1]
