import logging
from pathlib import Path

from maya_batch.messages.logs import LoggedBook, about, close_book_log, log_to_book, log_to_file, log_to_terminal

log = logging.getLogger("maya_batch.test")


def test_a_message_about_a_book_begins_with_its_title_and_goes_to_its_log_only(tmp_path: Path) -> None:
    log_to_terminal(quiet=True, verbose=False)
    log_to_file(tmp_path / "all.log")
    books = [LoggedBook(title, tmp_path / title / ".maya") for title in ("ash", "birch")]
    for book in books:
        book.folder.parent.mkdir()
        log_to_book(book.folder)
    with about(books[0]):
        log.warning("1:1 cap")
    log.warning("for all")
    close_book_log(books[1].folder)
    log.warning("later")
    close_book_log(books[0].folder)

    def messages(path: Path) -> list[str]:
        return [line.split(" WARNING ")[1] for line in path.read_text(encoding="utf-8").splitlines()]

    assert messages(books[0].folder / "render.log") == ["1:1 cap", "for all", "later"]
    assert messages(books[1].folder / "render.log") == ["for all"]
    assert messages(tmp_path / "all.log") == ["ash: 1:1 cap", "for all", "later"]
