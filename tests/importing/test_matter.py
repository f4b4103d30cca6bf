"""What is printed but not read aloud is recognised by roles, titles and the marks of Project Gutenberg."""

import pytest

from maya_batch.importing.chapters import make_chapters
from maya_batch.importing.matter import reason_of_roles, reason_of_title
from maya_batch.importing.xhtml_blocks import read_blocks
from tests.importing.stories import block, document, heading
from tests.support.epubs import xhtml


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        ("Title Page", "title page"),
        ("Copyright", "imprint"),
        ("Table of Contents", "contents list"),
        ("Dedication", "dedication"),
        ("Endnotes", "notes"),
        ("Index", "index"),
        ("Select Bibliography", "bibliography"),
        ("Also by A. Writer", "advertisements"),
        ("Transcriber’s Notes", "transcriber's note"),
        ("The Full Project Gutenberg License", "Project Gutenberg license"),
        ("Preface", ""),
        ("Introduction", ""),
        ("Epilogue", ""),
        ("Notes from a Small House", ""),
        ("The Index Finger", ""),
        ("Other Voices", ""),
    ],
)
def test_titles_say_what_is_not_read_aloud(title: str, reason: str) -> None:
    assert reason_of_title(title) == reason


def test_the_outer_role_counts() -> None:
    assert reason_of_roles(frozenset(("dedication", "titlepage"))) == "title page"
    assert reason_of_roles(frozenset(("bodymatter", "chapter"))) == ""


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        ("doc-bibliography", "bibliography"),
        ("doc-colophon", "colophon"),
        ("doc-cover", "cover"),
        ("doc-credit", "credits"),
        ("doc-credits", "credits"),
        ("doc-dedication", "dedication"),
        ("doc-endnotes", "notes"),
        ("doc-errata", "errata"),
        ("doc-index", "index"),
        ("doc-pagelist", "contents list"),
        ("doc-toc", "contents list"),
        ("doc-acknowledgments", ""),
        ("doc-chapter", ""),
        ("doc-epigraph", ""),
        ("doc-epilogue", ""),
        ("doc-foreword", ""),
        ("doc-introduction", ""),
        ("doc-preface", ""),
        ("doc-prologue", ""),
    ],
)
def test_aria_roles_say_what_is_not_read_aloud(role: str, reason: str) -> None:
    page = f'<section role="{role}"><p>Text.</p></section>'
    (block,) = read_blocks(xhtml(page).encode(), "a.xhtml").blocks
    assert reason_of_roles(block.roles) == reason


def test_matter_by_roles_becomes_a_chapter_with_its_reason() -> None:
    book = document(
        [
            heading("The Ferry", file="1"),
            block("One.", file="1"),
            block("Printed by us.", file="2", roles=["colophon", "backmatter"]),
        ],
        [("The Ferry", 1, "1"), ("About this book", 1, "2")],
    )
    assert [(c.title, c.skip) for c in make_chapters(book)[0]] == [("The Ferry", ""), ("About this book", "colophon")]


def test_matter_without_an_entry_is_cut_off_from_the_chapter_before_it() -> None:
    book = document(
        [
            heading("The Ferry", file="1"),
            block("One.", file="1"),
            heading("Index", file="2", ids=()),
            block("Boats, 3.", file="2", roles=["index"]),
        ],
        [("The Ferry", 1, "1"), ("The Hill", 1, "1")],
    )
    assert [(c.title, c.skip) for c in make_chapters(book)[0]][-1][1] == "index"


def test_notes_inside_a_chapter_stay_there() -> None:
    book = document(
        [
            heading("The Ferry", file="1"),
            block("One.", file="1"),
            block("A note.", "note", file="1", roles=["footnotes"]),
            heading("The Hill", file="2"),
            block("Two.", file="2"),
        ],
        [("The Ferry", 1, "1"), ("The Hill", 1, "2")],
    )
    chapters, _ = make_chapters(book)
    assert [(c.title, c.skip, len(c.blocks)) for c in chapters] == [("The Ferry", "", 2), ("The Hill", "", 1)]


def test_a_chapter_of_notes_is_skipped_by_what_it_is_made_of() -> None:
    book = document(
        [block("One.", file="1"), heading("Remarks", file="2"), block("A long note. " * 20, "note", file="2")],
        [("The Ferry", 1, "1"), ("Remarks", 1, "2")],
    )
    assert [c.skip for c in make_chapters(book)[0]] == ["", "notes"]


def test_the_header_and_the_license_of_project_gutenberg_are_cut_off() -> None:
    book = document(
        [
            block("The Project Gutenberg eBook of The Lamp"),
            block("*** START OF THE PROJECT GUTENBERG EBOOK THE LAMP ***"),
            block("Produced by Many Hands"),
            heading("I"),
            block("One."),
            heading("II"),
            block("Two."),
            block("End of the Project Gutenberg EBook of The Lamp"),
            block("*** END OF THE PROJECT GUTENBERG EBOOK THE LAMP ***"),
            heading("Section 1. General Terms"),
            block("You may copy it."),
        ]
    )
    chapters, _ = make_chapters(book)
    assert [(c.title, c.skip) for c in chapters if not c.skip] == [("Chapter 1", ""), ("Chapter 2", "")]
    spoken = [each.text for c in chapters if not c.skip for each in c.blocks]
    assert spoken == ["One.", "Two."]
    assert [c.skip for c in chapters if c.skip] == [
        "Project Gutenberg header",
        "transcriber's note",
        "Project Gutenberg license",
    ]
