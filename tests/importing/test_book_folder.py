"""The folder of an imported book, and importing again: nothing of a person's is overwritten or removed."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from maya_batch.errors import UsageError
from maya_batch.importing.blocks import Image
from maya_batch.importing.book_folder import FolderPlan, default_folder, plan_folder
from maya_batch.importing.chapter_files import digest
from maya_batch.importing.folder_writer import write_folder
from maya_batch.importing.manuscript import read_manuscript
from maya_batch.importing.reading_rules import Reading
from tests.importing import stories

FERRY, HILL, HOUSE = "The night was dark.", "He climbed the hill.", "The house was empty."


def story(*chapters: tuple[str, str], title: str = "The Lamp") -> str:
    return "\n\n".join([f"# {title}", *(f"## {name}\n\n{text}" for name, text in chapters)]) + "\n"


FIRST = story(("The Ferry", FERRY), ("The Hill", HILL))


def do_import(folder: Path, content: str, name: str = "lamp.md") -> FolderPlan:
    """Write the manuscript, import it and return what was done."""
    path = stories.written(folder, name, content)
    plan = plan_folder(read_manuscript(path), folder / "book")
    write_folder(plan)
    return plan


def book(folder: Path) -> dict[str, Any]:
    data = yaml.safe_load((folder / "book/book.yaml").read_text("utf-8"))
    assert isinstance(data, dict)
    return data


def titles(folder: Path) -> list[str]:
    return [chapter["title"] for chapter in book(folder)["chapters"]]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_entities_that_a_page_shows_are_no_entities_in_the_chapter(tmp_path: Path) -> None:
    page = "<h1>The Lamp</h1><p>Write &amp;lt;, &amp;copy or &amp;mdsh; for R&amp;D.</p>"
    do_import(tmp_path, page, "lamp.html")
    (chapter,) = (tmp_path / "book/chapters").iterdir()
    assert chapter.read_text("utf-8") == "Write \\&lt;, \\&copy or \\&mdsh; for R&D.\n"


def test_a_folder_has_the_manifest_the_texts_and_a_record(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    made = files(tmp_path / "book")
    assert list(made) == [
        "book.yaml",
        "chapters/01-the-lamp.txt",
        "chapters/02-the-ferry.txt",
        "chapters/03-the-hill.txt",
        "import.json",
    ]
    assert made["chapters/02-the-ferry.txt"].decode() == FERRY + "\n"
    assert book(tmp_path)["title"] == "The Lamp"
    assert book(tmp_path)["announce"] is True
    assert book(tmp_path)["chapters"][0]["skip"] == "title page"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["book", "lamp.md"]


def test_the_record_has_digests_and_the_place_of_each_paragraph(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    made = files(tmp_path / "book")
    record = json.loads(made["import.json"])
    assert record["files"] == {name: digest(content) for name, content in made.items() if name != "import.json"}
    assert record["version"] == 1
    ferry = record["chapters"][1]
    assert ferry["file"] == "chapters/02-the-ferry.txt"
    assert [kind for _, _, kind in ferry["paragraphs"]] == ["paragraph"]
    characters = record["characters"]
    assert (
        characters["total"]
        == len(FIRST)
        == characters["markup"]
        + characters["spoken"]
        + characters["announced"]
        + (characters["white_space"] + sum(characters["skipped"].values()))
    )


def test_importing_the_same_again_changes_nothing(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    before = files(tmp_path / "book")
    plan = do_import(tmp_path, FIRST)
    assert (plan.news, plan.conflicts) == ([], [])
    assert files(tmp_path / "book") == before


def test_a_changed_chapter_is_written_again(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    plan = do_import(tmp_path, FIRST.replace(FERRY, "The night was bright."))
    assert plan.news == ["changed: chapters/02-the-ferry.txt (The Ferry)"]
    assert files(tmp_path / "book")["chapters/02-the-ferry.txt"].decode() == "The night was bright.\n"


def test_an_edited_chapter_stays_as_long_as_only_the_person_changed_it(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    edit(tmp_path / "book/chapters/02-the-ferry.txt", "dark", "<sigh> dark")
    plan = do_import(tmp_path, FIRST)
    assert plan.news == ["kept as you edited it: chapters/02-the-ferry.txt"]
    assert "<sigh>" in (tmp_path / "book/chapters/02-the-ferry.txt").read_text()


def test_where_both_changed_both_versions_are_there(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    edit(tmp_path / "book/chapters/02-the-ferry.txt", "dark", "<sigh> dark")
    plan = do_import(tmp_path, FIRST.replace(FERRY, "The night was bright."))
    assert len(plan.conflicts) == 1
    assert "chapters/02-the-ferry.new.txt" in plan.conflicts[0]
    made = files(tmp_path / "book")
    assert b"<sigh>" in made["chapters/02-the-ferry.txt"]
    assert made["chapters/02-the-ferry.new.txt"] == b"The night was bright.\n"
    assert do_import(tmp_path, FIRST.replace(FERRY, "The night was bright.")).conflicts == []
    edit(tmp_path / "book/chapters/02-the-ferry.new.txt", "bright", "bright and mine")
    do_import(tmp_path, FIRST.replace(FERRY, "The night was long."))
    made = files(tmp_path / "book")
    assert b"mine" in made["chapters/02-the-ferry.new.txt"]
    assert made["chapters/02-the-ferry.new-2.txt"] == b"The night was long.\n"


def test_numbers_of_files_do_not_shuffle(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    plan = do_import(tmp_path, story(("The House", HOUSE), ("The Ferry", FERRY), ("The Hill", HILL)))
    assert "new: chapters/04-the-house.txt (The House)" in plan.news
    assert [chapter["file"][9:11] for chapter in book(tmp_path)["chapters"]] == ["01", "04", "02", "03"]
    do_import(tmp_path, story(("The Hill", HILL), ("The Ferry", FERRY)))
    assert [chapter["file"][9:11] for chapter in book(tmp_path)["chapters"]] == ["01", "03", "02"]


def test_a_renamed_chapter_keeps_its_file(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    do_import(tmp_path, FIRST.replace("## The Hill", "## The High Hill"))
    assert book(tmp_path)["chapters"][2] == {"title": "The High Hill", "file": "chapters/03-the-hill.txt"}


def test_files_of_chapters_that_are_gone_stay_and_are_told(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    plan = do_import(tmp_path, story(("The Ferry", FERRY), ("The House", HOUSE + " " + HOUSE)))
    gone = "gone from the manuscript: chapters/03-the-hill.txt, which stays in the folder"
    assert gone in plan.news
    assert titles(tmp_path) == ["The Lamp", "The Ferry", "The House"]
    assert (tmp_path / "book/chapters/03-the-hill.txt").exists()


def test_edited_keys_of_the_manifest_stay_and_the_rest_follows_the_manuscript(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    path = tmp_path / "book/book.yaml"
    edit(path, "Realistic female voice", "Deep male voice")
    edit(path, "title: The Ferry\n", "title: The Crossing   # better\n    voice: narrator\n")
    edit(path, "announce: true", "announce: false")
    plan = do_import(tmp_path, story(("The Ferry", FERRY), ("The House", HOUSE), ("The Hill", HILL)))
    assert plan.conflicts == []
    text = path.read_text("utf-8")
    assert "# better" in text
    assert book(tmp_path)["voices"]["narrator"].startswith("Deep male")
    assert book(tmp_path)["announce"] is False
    assert titles(tmp_path) == ["The Lamp", "The Crossing", "The House", "The Hill"]


def test_a_key_that_both_changed_keeps_the_persons_value_and_the_new_manifest_is_next_to_it(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    edit(tmp_path / "book/book.yaml", "title: The Lamp\nannounce", "title: My Lamp\nannounce")
    plan = do_import(tmp_path, FIRST.replace("# The Lamp\n", "# The Lantern\n", 1))
    assert "`title`" in " ".join(plan.conflicts)
    assert book(tmp_path)["title"] == "My Lamp"
    assert "title: The Lantern" in (tmp_path / "book/book.new.yaml").read_text()


def test_chapters_that_the_person_removed_from_the_manifest_stay_away(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    edit(tmp_path / "book/book.yaml", "  - title: The Hill\n    file: chapters/03-the-hill.txt\n", "")
    do_import(tmp_path, FIRST.replace(HILL, "He climbed on."))
    assert titles(tmp_path) == ["The Lamp", "The Ferry"]


def test_an_entry_that_is_gone_stays_if_the_person_edited_its_text(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    edit(tmp_path / "book/chapters/03-the-hill.txt", "hill", "high hill")
    plan = do_import(tmp_path, story(("The Ferry", FERRY)))
    assert titles(tmp_path) == ["The Lamp", "The Ferry", "The Hill"]
    assert plan.conflicts


@pytest.mark.parametrize(
    "written", ["chapters: [{title: A, text: b}]\ntitle: x\n", "title: [", "just text", "chapters:\n- 1\n"]
)
def test_a_manifest_in_another_form_is_left_alone(tmp_path: Path, written: str) -> None:
    do_import(tmp_path, FIRST)
    (tmp_path / "book/book.yaml").write_text(written)
    plan = do_import(tmp_path, story(("The Ferry", FERRY), ("The House", HOUSE), ("The Hill", HILL)))
    assert (tmp_path / "book/book.yaml").read_text() == written
    assert "The House" in (tmp_path / "book/book.new.yaml").read_text()
    assert len(plan.conflicts) == 1


def said(name: str) -> str:
    return " ".join(f"{name} says {what}." for what in ("one word", "two words", "three words", "four words"))


def texts(folder: Path) -> dict[str, str]:
    """The text of each chapter that book.yaml names, by its title."""
    return {each["title"]: (folder / "book" / each["file"]).read_text("utf-8") for each in book(folder)["chapters"][1:]}


def test_a_chapter_that_was_changed_and_has_another_number_is_known_by_most_of_its_text(tmp_path: Path) -> None:
    names = ("Ann", "Ben", "Cid")
    do_import(tmp_path, story(*((f"Chapter {at}", said(name)) for at, name in enumerate(names, 1))))
    edit(tmp_path / "book/chapters/03-chapter-2.txt", "Ben says two", "[narrator] Ben says two")
    changed = [said("Ann"), said("New"), said("Ben").replace("four", "FOUR"), said("Cid")]
    plan = do_import(tmp_path, story(*((f"Chapter {at}", text) for at, text in enumerate(changed, 1))))
    made = texts(tmp_path)
    assert made["Chapter 2"] == said("New") + "\n"
    assert made["Chapter 3"] == said("Ben").replace("Ben says two", "[narrator] Ben says two") + "\n"
    assert list(made) == ["Chapter 1", "Chapter 2", "Chapter 3", "Chapter 4"]
    (conflict,) = plan.conflicts
    assert "chapters/03-chapter-2.new.txt" in conflict


def test_a_chapter_that_comes_back_has_its_file_again_and_is_there_once(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    edit(tmp_path / "book/chapters/03-the-hill.txt", "climbed", "ran up")
    assert do_import(tmp_path, story(("The Ferry", FERRY))).conflicts
    assert not do_import(tmp_path, story(("The Ferry", FERRY))).conflicts
    plan = do_import(tmp_path, FIRST)
    assert "back in the manuscript: chapters/03-the-hill.txt" in plan.news
    assert texts(tmp_path) == {"The Ferry": FERRY + "\n", "The Hill": "He ran up the hill.\n"}
    assert titles(tmp_path) == ["The Lamp", "The Ferry", "The Hill"]


def test_another_chapter_with_the_title_of_one_that_is_gone_is_a_new_one(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    do_import(tmp_path, story(("The Ferry", FERRY)))
    do_import(tmp_path, story(("The Ferry", FERRY), ("The Hill", HOUSE)))
    assert texts(tmp_path)["The Hill"] == HOUSE + "\n"
    assert (tmp_path / "book/chapters/03-the-hill.txt").read_text("utf-8") == HILL + "\n"


def test_a_changed_text_that_the_manifest_no_longer_names_is_a_conflict(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    (tmp_path / "book/chapters/03-the-hill.txt").rename(tmp_path / "book/chapters/hill.txt")
    edit(tmp_path / "book/book.yaml", "03-the-hill", "hill")
    plan = do_import(tmp_path, FIRST)
    assert (plan.news, plan.conflicts, list(plan.writes)) == ([], [], ["import.json"])
    changed = story(("The Ferry", FERRY), ("The Hill", HILL + " It was steep."))
    (conflict,) = do_import(tmp_path, changed).conflicts
    assert "chapters/03-the-hill.txt: the manuscript changed it, and book.yaml no longer names it" in conflict
    assert not do_import(tmp_path, changed).conflicts
    assert do_import(tmp_path, story(("The Ferry", FERRY))).news == [
        "gone from the manuscript: chapters/03-the-hill.txt, which book.yaml no longer names"
    ]


def test_a_new_manifest_is_told_where_the_old_one_was_removed(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    (tmp_path / "book/book.yaml").rename(tmp_path / "book/lamp.yaml")
    assert "new: book.yaml, which was no longer there" in do_import(tmp_path, FIRST).news


def test_a_manifest_without_a_line_feed_at_its_end_stays_as_it_is(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    path = tmp_path / "book/book.yaml"
    path.write_text(path.read_text("utf-8").replace("announce: true", "announce: false").rstrip("\n"), "utf-8")
    plan = do_import(tmp_path, FIRST)
    assert (plan.news, list(plan.writes)) == ([], ["import.json"])


def test_options_that_are_not_those_of_the_last_import_are_told(tmp_path: Path) -> None:
    path = stories.written(tmp_path, "lamp.md", FIRST)

    def news(reading: Reading) -> list[str]:
        plan = plan_folder(read_manuscript(path, reading), tmp_path / "book")
        write_folder(plan)
        return plan.news

    asked = Reading(frozenset({"notes", "figures"}), "rows")
    assert news(asked) == news(asked) == []
    had = "--tables rows --read figures,notes"
    assert news(Reading()) == [f"other options than at the last import, which had {had}"]
    assert news(asked) == ["other options than at the last import, which had none"]


def test_another_book_in_a_file_of_the_same_name_is_refused(tmp_path: Path) -> None:
    do_import(tmp_path, story(("Chapter 1", FERRY), ("Imprint", "Made in 1920.")))
    before = files(tmp_path / "book")
    other = story(("Chapter 1", HOUSE), ("Imprint", "Made in 1920."), title="The House")
    with pytest.raises(UsageError, match="holds the book 'The Lamp', and no chapter of 'The House' is in it"):
        do_import(tmp_path, other)
    assert files(tmp_path / "book") == before
    do_import(tmp_path, story(("Chapter 1", FERRY), title="The House"))
    assert book(tmp_path)["title"] == "The House"


def test_an_entry_with_a_comment_stays_when_its_chapter_is_gone(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    edit(tmp_path / "book/book.yaml", "- title: The Hill", "- title: The Hill  # ask Ann")
    assert do_import(tmp_path, story(("The Ferry", FERRY))).conflicts
    assert "# ask Ann" in (tmp_path / "book/book.yaml").read_text("utf-8")


@pytest.mark.parametrize("new", [Image(b"png", ".png"), None])
def test_a_cover_that_the_person_changed_stays_in_the_book(tmp_path: Path, new: Image | None) -> None:
    imported = read_manuscript(stories.written(tmp_path, "lamp.md", FIRST))

    def with_cover(cover: Image | None) -> FolderPlan:
        plan = plan_folder(replace(imported, document=replace(imported.document, cover=cover)), tmp_path / "book")
        write_folder(plan)
        return plan

    with_cover(Image(b"jpg", ".jpg"))
    (tmp_path / "book/cover.jpg").write_bytes(b"mine")
    (conflict,) = with_cover(new).conflicts
    assert "cover.jpg: you and the manuscript changed the cover; yours stays" in conflict
    assert book(tmp_path)["cover"] == "cover.jpg"
    assert (tmp_path / "book/cover.jpg").read_bytes() == b"mine"
    assert (tmp_path / "book/cover.png").exists() == (new is not None)
    assert not with_cover(new).conflicts
    assert book(tmp_path)["cover"] == "cover.jpg"


def test_a_new_version_under_another_name_is_told_how_to_be_one(tmp_path: Path) -> None:
    do_import(tmp_path, FERRY, "novel-1.txt")
    with pytest.raises(UsageError, match=r"rename the file to novel-1\.txt if it is a new version"):
        do_import(tmp_path, FERRY, "novel-2.txt")


def test_a_folder_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "book/letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty, and no import wrote it"):
        do_import(tmp_path, FIRST)
    assert files(tmp_path / "book") == {"letter.txt": b"mine"}


def test_the_folder_of_another_book_is_refused(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    with pytest.raises(UsageError, match=r"holds the book 'The Lamp' from lamp\.md"):
        do_import(tmp_path, story(("A", "B."), ("C", "D."), title="Other"), "other.md")


def test_an_empty_folder_and_links_to_one_are_used(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "book").symlink_to("real")
    do_import(tmp_path, FIRST)
    assert (tmp_path / "real/book.yaml").exists()


def test_links_in_the_folder_are_not_followed(tmp_path: Path) -> None:
    do_import(tmp_path, FIRST)
    outside = stories.written(tmp_path, "outside.txt", "mine")
    chapter = tmp_path / "book/chapters/02-the-ferry.txt"
    chapter.unlink()
    chapter.symlink_to(outside)
    with pytest.raises(UsageError, match=r"02-the-ferry\.txt: is a link"):
        do_import(tmp_path, FIRST.replace(FERRY, "New."))
    assert outside.read_text() == "mine"


@pytest.mark.parametrize("damage", ["{", '{"version": 99}', '{"version": 1, "files": {"../x": "0"}}', "[1]"])
def test_a_damaged_record_is_told_and_nothing_is_written(tmp_path: Path, damage: str) -> None:
    do_import(tmp_path, FIRST)
    (tmp_path / "book/import.json").write_text(damage)
    before = files(tmp_path / "book")
    with pytest.raises(UsageError, match=r"import\.json"):
        do_import(tmp_path, FIRST.replace(FERRY, "New."))
    assert files(tmp_path / "book") == before


@pytest.mark.parametrize(
    "change",
    [
        {"file": "../outside.txt"},
        {"file": "/tmp/outside.txt"},
        {"file": "chapters/../../outside.txt"},
        {"file": "chapters/.."},
        {"file": "book.yaml"},
        {"file": "import.json"},
        {"file": "chapters/a/b.txt"},
        {"file": "chapters/a.sh"},
        {"file": "chapters/a\0.txt"},
        {"file": "chapters/\ud800.txt"},
        {"file": "chapters/03-the-hill.txt"},
        {"file": None},
        {"title": ["The Ferry"]},
        {"part": {}},
    ],
    ids=str,
)
def test_a_record_whose_chapters_no_import_wrote_is_damaged(tmp_path: Path, change: dict[str, Any]) -> None:
    """Its paths are written to: one that leads outside would put a file there, or in the place of one."""
    do_import(tmp_path, FIRST)
    outside = stories.written(tmp_path, "outside.txt", "mine")
    path = tmp_path / "book/import.json"
    record = json.loads(path.read_text())
    record["chapters"][1] |= change
    record["unfinished"] = [digest(b"mine")]
    path.write_text(json.dumps(record))
    before = files(tmp_path / "book")
    with pytest.raises(UsageError, match=r"import\.json: is damaged; import into another folder with -o"):
        do_import(tmp_path, FIRST.replace(FERRY, "New."))
    assert (files(tmp_path / "book"), outside.read_text()) == (before, "mine")


@pytest.mark.parametrize("name", ["../outside.txt", "chapters/02-the-ferry.txt"])
def test_a_record_of_gone_chapters_that_no_import_wrote_is_damaged(tmp_path: Path, name: str) -> None:
    do_import(tmp_path, FIRST)
    path = tmp_path / "book/import.json"
    record = json.loads(path.read_bytes())
    path.write_text(json.dumps(record | {"gone": [record["chapters"][0] | {"file": name}]}), "utf-8")
    with pytest.raises(UsageError, match="is damaged"):
        do_import(tmp_path, FIRST)


@pytest.mark.parametrize("name", ["../x", "/x", "chapters/../x", "x\0", "\ud800", "chapters"])
def test_a_record_of_files_that_no_import_wrote_is_damaged(tmp_path: Path, name: str) -> None:
    do_import(tmp_path, FIRST)
    path = tmp_path / "book/import.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"files": {name: "0"}}))
    with pytest.raises(UsageError, match=r"import\.json: is damaged; import into another folder with -o"):
        do_import(tmp_path, FIRST)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    stories.written(tmp_path, "lamp.md", FIRST)
    plan = plan_folder(read_manuscript(tmp_path / "lamp.md"), tmp_path / "book")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(Exception, match="cannot be written"):
            write_folder(plan)
    finally:
        tmp_path.chmod(0o700)
    assert [path.name for path in tmp_path.iterdir()] == ["lamp.md"]


def test_the_default_folder_is_named_after_the_manuscript() -> None:
    assert default_folder(Path("a/The Lamp.epub")) == Path("a/The Lamp")
    assert default_folder(Path("a/lamp")) == Path("a/lamp-book")
