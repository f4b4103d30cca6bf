"""The command `import`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Said
from tests.importing import stories

Cli = Callable[..., Said]


@pytest.fixture
def lamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The story as Markdown in the working directory."""
    monkeypatch.chdir(tmp_path)
    return stories.written(tmp_path, "lamp.md", stories.markdown())


def test_it_shows_chapters_sums_and_the_next_command(lamp: Path, cli: Cli) -> None:
    said = cli("import", "lamp.md")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == f"title      {stories.TITLE}"
    assert "3 chapters of 88 words to read aloud, 1 skipped" in lines
    assert lines[-1] == "maya-batch render lamp/book.yaml"
    assert any(line.endswith("skipped: title page") for line in lines)
    assert (lamp.parent / "lamp/book.yaml").exists()


def test_a_dry_run_writes_nothing(lamp: Path, cli: Cli) -> None:
    said = cli("import", "lamp.md", "--dry-run", "-o", "there")
    assert said.code == 0
    assert "nothing was written; without --dry-run, 6 files would be written into there" in said.out
    assert [path.name for path in lamp.parent.iterdir() if path.name != "cache"] == ["lamp.md"]


def test_json_has_chapters_and_sums(lamp: Path, cli: Cli) -> None:
    data = json.loads(cli("import", "lamp.md", "--dry-run", "--json").out)
    assert [chapter["skip"] for chapter in data["chapters"]] == ["title page", "", "", ""]
    sums = data["characters"]
    parts = sums["spoken"] + sums["announced"] + sums["white_space"] + sums["markup"] + sum(sums["skipped"].values())
    assert parts == sums["total"] == len(stories.markdown().decode())


def test_conflicts_end_with_exit_code_3(lamp: Path, cli: Cli) -> None:
    assert cli("import", "lamp.md").code == 0
    chapter = next((lamp.parent / "lamp/chapters").glob("*ferry.txt"))
    chapter.write_text("Mine.\n")
    lamp.write_text(lamp.read_text().replace("The night was dark", "The night was bright"))
    said = cli("import", "lamp.md")
    assert said.code == 3
    assert "yours stays, the new version is chapters/" in said.out
    assert chapter.read_text() == "Mine.\n"


def test_tables_and_notes_are_read_on_request(tmp_path: Path, cli: Cli) -> None:
    text = "# A\n\nOne.[^1]\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n# B\n\nTwo.\n\n[^1]: A note.\n"
    path = stories.written(tmp_path, "t.md", text)
    plain = json.loads(cli("import", path, "--dry-run", "--json").out)["characters"]
    assert plain["skipped"]["table"] == len("a\tb\n1\t2")
    assert plain["skipped"]["note"] == len("A note.")
    more = json.loads(cli("import", path, "--dry-run", "--json", "--tables", "rows", "--read", "notes").out)[
        "characters"
    ]
    assert more["spoken"] == plain["spoken"] + plain["skipped"]["table"] + plain["skipped"]["note"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pdf", b"%PDF-1.7", "is a PDF, which has lines and pages but no paragraphs; convert it to EPUB"),
        ("a.mobi", b"\0" * 60 + b"BOOKMOBI", "is a Kindle book; convert it to EPUB"),
        ("a.rtf", b"{\\rtf1", "is in Rich Text Format; save it as .docx"),
        ("a.doc", b"\xd0\xcf\x11\xe0" + b"\0" * 99, "is an old Word file"),
        ("a.xyz", b"text", "the format of .xyz is not known"),
        ("a.zip", stories.zipped({"a.txt": b"text"}), "neither an EPUB nor a DOCX"),
        ("a.odt", stories.zipped({"content.xml": b"<a/>"}), "is an OpenDocument text; save it as .docx"),
        ("a.txt", b" \n", "has no text: it is empty"),
        ("a.html", b"<p></p>", "has no text"),
    ],
)
def test_what_cannot_be_imported_gets_one_line(
    tmp_path: Path, cli: Cli, name: str, content: bytes, message: str
) -> None:
    said = cli("import", stories.written(tmp_path, name, content))
    assert said.code == 2
    assert message in said.err
    assert len(said.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == [name]


def test_missing_files_and_wrong_flags_get_one_line(tmp_path: Path, cli: Cli) -> None:
    assert "does not exist" in cli("import", tmp_path / "none.epub").err
    (tmp_path / "empty.epub").touch()
    assert cli("import", tmp_path / "empty.epub").err == f"{tmp_path / 'empty.epub'}: is empty\n"
    assert "is a folder" in cli("import", tmp_path).err
    path = stories.written(tmp_path, "a.txt", "One.")
    assert "--tables cells: write one of skip, rows" in cli("import", path, "--tables", "cells").err
    assert "--read jokes: write any of notes" in cli("import", path, "--read", "jokes").err


def test_another_language_is_remarked(tmp_path: Path, cli: Cli) -> None:
    path = stories.written(tmp_path, "a.html", "<html lang='fr'><body><h1>Un</h1><p>Il fait nuit.</p></body></html>")
    assert "the language of the book is fr, and Maya1 speaks English" in cli("import", path).out


def test_titles_cannot_move_the_cursor(tmp_path: Path, cli: Cli) -> None:
    path = stories.written(tmp_path, "a.md", "# A\x1b[2Jb\n\nOne.\n\n# C\n\nTwo.\n")
    said = cli("import", path)
    assert said.code == 0
    assert "\x1b" not in said.out + (tmp_path / "a/book.yaml").read_text()
