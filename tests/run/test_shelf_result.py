from pathlib import Path

import pytest

from maya_batch.errors import BusyError, MachineError, StoppedError, UsageError
from maya_batch.run.shelf_result import ShelfBook, ShelfResult
from maya_batch.run.summary import summarize_shelf


def result_of(*codes: int | None) -> ShelfResult:
    return ShelfResult([ShelfBook(Path(f"{at}.yaml"), at, exit_code=code) for at, code in enumerate(codes, start=1)])


@pytest.mark.parametrize(
    ("codes", "worst"),
    [
        ((0, 0), 0),
        ((0, 3, 0), 3),
        ((3, 75), 75),
        ((75, 2, 3), 2),
        ((2, 0, 4), 4),
        ((0, None), 4),
        ((4, 5, None), 5),
        ((5, 1, 4), 1),
    ],
)
def test_the_exit_code_is_that_of_the_worst_book(codes: tuple[int | None, ...], worst: int) -> None:
    assert result_of(*codes).exit_code == worst


def test_the_worst_book_is_the_first_of_its_code() -> None:
    assert (found := result_of(0, 3, None, 3).worst) is not None
    assert found.number == 2
    assert result_of(None, None).worst is None


@pytest.mark.parametrize(
    ("error", "code", "state"),
    [
        (UsageError("x"), 2, "left out because of mistakes"),
        (BusyError("x"), 75, "left out, because another run has locked it"),
        (MachineError("x"), 5, "failed"),
        (PermissionError("x"), 5, "failed"),
    ],
)
def test_a_book_that_is_left_out_has_the_code_of_its_error(error: Exception, code: int, state: str) -> None:
    book = ShelfBook(Path("a.yaml"), 1)
    book.left_out(error)
    assert (book.exit_code, book.state) == (code, state)


def test_the_summary_counts_the_books_and_marks_what_needs_attention() -> None:
    result = result_of(0, 3, 2, None, None)
    result.books[0].title = "Ash"
    result.books[0].stopped(StoppedError("x"))
    lines = list(summarize_shelf(result))
    assert lines == [
        (False, "Ash: stopped; finished takes are saved; 1.yaml"),
        (True, "2.yaml: not begun"),
        (True, "3.yaml: not begun"),
        (False, "2 books not begun, from 4.yaml on"),
        (False, "5 books: 1 with problems, 1 stopped, 2 not begun, 1 left out"),
    ]
