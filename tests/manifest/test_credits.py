"""The key `credits`: what its texts may say, and where its mistakes are."""

import jsonschema
import pytest
import yaml

from maya_batch.manifest import json_schema
from maya_batch.manifest.credits import filled
from tests.manifest.test_manifest import BOOK, folder, only, read, sound

__all__ = ["folder"]

FIELDS = {
    "title": "The Lamp",
    "author": "A. Writer",
    "narrator": "Who?",
    "series": "Lamps [1] <b>",
    "subtitle": "R&D, &lt; and &copy",
}
PUBLISHED = BOOK + "author: A. Writer\nnarrator: Maya\n"

pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{title}, by { author }.", "The Lamp, by A. Writer."),
        ("Read by {narrator}. <sigh> [anna] The end.", "Read by Who? <sigh> [anna] The end."),
        ("{series}.", "Lamps \\[1\\] \\<b\\>."),
        ("{{title}} and }}", "{title} and }"),
        ("No field.", "No field."),
        ("{subtitle}", "R&D, \\&lt; and \\&copy"),
    ],
)
def test_fields_are_filled_in_as_plain_text(template: str, text: str) -> None:
    assert (filled(template, FIELDS).text, filled(template, FIELDS).wrong) == (text, ())


def test_each_character_is_known_by_its_place_in_the_template() -> None:
    template = "Now {{ {title}. Then {author}, <laf>."
    made = filled(template, FIELDS)
    for word in ("Now", "Then", "<laf>"):
        assert made.source(made.text.index(word)) == template.index(word)
    for inside in range(made.text.index("The Lamp"), made.text.index("The Lamp") + len("The Lamp")):
        assert made.source(inside) == template.index("{title}")
    assert made.source(made.text.index(" Then")) == template.index(" Then")
    assert made.source(len(made.text) - 1) == len(template) - 1


def test_credits_are_chapters_before_the_first_and_after_the_last() -> None:
    manuscript = sound(PUBLISHED + "credits: {opening: '{title} by {author}.', closing: The end.}\n")
    first, *_, last = manuscript.chapters
    number = len(manuscript.book.chapters) + 1
    assert (first.number, first.title, first.text, first.credits) == (0, "Opening credits", "T by A. Writer.", True)
    assert (last.number, last.title, last.text, last.credits) == (number, "Closing credits", "The end.", True)
    assert {first.voice, last.voice} == {next(iter(manuscript.book.voices))}
    assert not any(chapter.credits for chapter in manuscript.chapters[1:-1])


def test_true_names_what_stores_ask_for() -> None:
    first, *_, last = sound(PUBLISHED + "credits: yes\n").chapters
    assert first.text == "T. Written by A. Writer. Narrated by Maya."
    assert last.text == "You have been listening to T, written by A. Writer, narrated by Maya. The End."


@pytest.mark.parametrize("none", ["false", "no", "", "~"])
def test_without_them_the_book_is_as_it_was(none: str) -> None:
    manuscript = sound(BOOK + f"credits: {none}\n")
    assert manuscript.book.credits is None
    assert [(chapter.number, chapter.text) for chapter in manuscript.chapters] == [(1, "Hello.")]


def test_one_of_them_may_be_missing() -> None:
    assert sum(chapter.credits for chapter in sound(BOOK + "credits: {closing: The end.}\n").chapters) == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "credits: {opening: 'By {autor}.'}",
            "7:24: unknown field 'autor' in braces; did you mean {author}? ",
        ),
        (
            "credits: {opening: 'By {publisher}.'}",
            "7:24: the book has no `publisher`; add `publisher:` to the book, or",
        ),
        ("credits: {opening: 'By {author.'}", "7:24: a single {; for the sign itself, write {{"),
        ("credits: {opening: ''}", "7:11: `opening` is empty; write a text or remove the key"),
        ("credits: {}", "7:10: the credits have neither `opening` nor `closing`; add one of them"),
        (
            "credits: {ending: The end.}",
            "7:11: unknown key 'ending'; did you mean `opening`? allowed here",
        ),
        (
            "credits: The end.",
            "7:10: `credits` must be true, or a mapping with `opening:` and `closing:`",
        ),
        ('credits: {opening: "a\\0b"}', "7:22: a NUL byte is not allowed in a text; delete it"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(line: str, expected: str) -> None:
    assert only(PUBLISHED + line + "\n").removeprefix("book.yaml:").startswith(expected)


def test_usual_credits_without_a_narrator_name_what_is_missing() -> None:
    _, findings = read(BOOK + "author: A. Writer\ncredits: true\n")
    assert findings == [
        "book.yaml:6:10: the book has no `narrator`; add `narrator:` to the book, or remove {narrator} here"
    ]


def test_the_schema_takes_what_the_reader_takes() -> None:
    for right in ("true", "false", "{opening: One.}", "{opening: One., closing: Two.}", ""):
        jsonschema.validate(yaml.safe_load(BOOK + f"credits: {right}\n"), json_schema())
    for wrong in ("The end.", "{ending: One.}", "[One.]"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(yaml.safe_load(BOOK + f"credits: {wrong}\n"), json_schema())
