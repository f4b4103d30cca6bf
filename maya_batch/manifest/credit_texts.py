"""Reads the credits of a book as chapters of their own."""

from collections.abc import Mapping

from maya_batch.errors import Finding
from maya_batch.manifest.chapter_text import ChapterText, Place
from maya_batch.manifest.checks import Checker, file_stem
from maya_batch.manifest.credits import FIELDS, Filled, filled
from maya_batch.manifest.schema import Book
from maya_batch.manifest.source_text import control_offsets, control_words
from maya_batch.manifest.yaml_positions import DataPath


def credit_texts(checker: Checker) -> tuple[list[ChapterText], list[Finding]]:
    """Opening and closing credits with the book's fields filled in, and their mistakes.

    The book's own voice speaks them, which is the narrator.
    """
    book = checker.book
    if book.credits is None or not checker.sound(("credits",)):
        return [], []
    fields, texts, findings = _fields(book), list[ChapterText](), list[Finding]()
    voice = book.voice if book.voice in book.voices else next(iter(book.voices))
    for name, template, number in (
        ("opening", book.credits.opening, 0),
        ("closing", book.credits.closing, len(book.chapters) + 1),
    ):
        path: DataPath = ("credits", name)
        if template is None or not checker.sound(path):
            continue
        text = filled(template, fields)
        wrong = [(offset, *control_words(template[offset])) for offset in control_offsets(template)]
        for offset, what, mend in wrong or text.wrong:
            findings.append(Finding(checker.file, *checker.source.locate(path, offset), what, mend))
        if wrong or text.wrong:
            continue
        title = f"{name.capitalize()} credits"
        place = _place(checker, path, text)
        texts.append(ChapterText(number, title, file_stem(title), voice, text.text, place, credits=True))
    return texts, findings


def _place(checker: Checker, path: DataPath, text: Filled) -> Place:
    return lambda offset: (checker.file, *checker.source.locate(path, text.source(offset)))


def _fields(book: Book) -> Mapping[str, str]:
    known = {name: getattr(book, name) for name in FIELDS if name != "series"}
    known["series"] = None if book.series is None else book.series.name
    return {name: value for name, value in known.items() if value}
