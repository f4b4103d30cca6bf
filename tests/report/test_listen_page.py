"""listen.html as text: what is in it, that nothing in it runs but its script, and the script that it exports."""

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from maya_batch.report.inline_parts import inline_json
from maya_batch.report.listen_page import exported_script, render_listen_page
from tests.support.listening import a_book, a_novel, a_report, listen_chapter, listen_chunk

EVIL = "</script><script>window.hacked=1</script><!--<img src=x onerror=window.hacked=1>\u2028\"'&amp;"


class Reader(HTMLParser):
    """The tags of a page, and the content of its script elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data


def test_the_data_of_the_page_is_the_book() -> None:
    data = json.loads(Reader(render_listen_page(a_book(), a_report())).scripts[0])
    assert data["id"] == "0123456789abcdef"
    assert data["command"] == "maya-batch redo '/books/the lamp.yaml' --from marks.csv"
    first = data["chapters"][0]
    assert first["files"] == [{"url": "./01-part.wav", "type": "audio/wav", "offset": 0.0}]
    assert first["chunks"][0]["sentences"] == [["The night was dark.", 0.0, 1.0, 1], ["Who goes there?", 1.5, 2.5, 0]]
    assert [take["clip"] for take in first["chunks"][1]["takes"]] == ["./take.wav"] * 3
    assert data["chapters"][2]["remark"] == "This chapter is not rendered yet."


def test_texts_of_anybody_are_data() -> None:
    chunk = listen_chunk("1:1@a1b2", EVIL, spoken=EVIL, voice=EVIL)
    book = type(a_book())(EVIL, (listen_chapter(1, chunk, title=EVIL, part=EVIL, remark=EVIL),))
    page = render_listen_page(book, a_report(title=EVIL, author=EVIL, language='"><script>', book=EVIL))
    reader = Reader(page)
    assert len(reader.scripts) == 2
    assert "hacked" not in reader.scripts[1]
    assert json.loads(reader.scripts[0])["chapters"][0]["chunks"][0]["sentences"][0][0] == EVIL
    assert not any(tag == "img" for tag, _ in reader.tags)
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)


def test_data_has_nothing_that_ends_a_script_element() -> None:
    text = inline_json({EVIL: [EVIL]})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {EVIL: [EVIL]}


def test_the_page_needs_nothing_but_the_files_next_to_it() -> None:
    page = render_listen_page(a_book(), a_report())
    reader = Reader(page)
    assert not {"link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in reader.tags}
    assert "http://" not in page
    assert "https://" not in page
    [policy] = [
        attributes["content"] for tag, attributes in reader.tags if tag == "meta" and "http-equiv" in attributes
    ]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_ids_that_the_script_asks_for_are_on_the_page() -> None:
    reader = Reader(render_listen_page(a_book(), a_report()))
    there = {attributes["id"] for _, attributes in reader.tags if "id" in attributes}
    assert {*re.findall(r"find\(\"([\w-]+)\"\)", reader.scripts[1])} <= there


def test_a_novel_is_a_page_of_two_megabytes_at_most() -> None:
    assert len(render_listen_page(a_novel(), a_report()).encode()) < 2_000_000


CSV = "ref,action,note\n3:17@a1b2,again,it's $HOME and `id` \\n\n"


@pytest.mark.parametrize("book", ["/books/plain.yaml", '/books/it\'s $HOME; `id` "x" ü.yaml', "/books/b\x1b\n.yaml"])
def test_the_script_gives_the_command_the_marks_and_nothing_runs_that_a_name_holds(tmp_path: Path, book: str) -> None:
    head, tail = exported_script(book, ("--output", "/out of/'here'"))
    (tmp_path / "redo.sh").write_text(head + CSV + tail, encoding="utf-8")
    program = tmp_path / "maya-batch"
    program.write_text(
        '#!/bin/sh\nprintf \'%s\\0\' "$@" >"$SEEN/words"\ncp "$4" "$SEEN/marks.csv"\nexit 3\n', encoding="utf-8"
    )
    program.chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SEEN": str(tmp_path), "TMPDIR": str(tmp_path)}
    shell = "bash" if book.endswith("\n.yaml") else "sh"
    assert head.startswith("#!/usr/bin/env bash\n" if shell == "bash" else "#!/bin/sh\n")
    done = subprocess.run([shell, "redo.sh"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
    words = (tmp_path / "words").read_text(encoding="utf-8").split("\0")[:-1]
    assert [*words[:3], *words[4:]] == ["redo", book, "--from", "--output", "/out of/'here'"]
    assert (tmp_path / "marks.csv").read_text(encoding="utf-8") == CSV
    assert sorted(path.name for path in tmp_path.iterdir()) == ["marks.csv", "maya-batch", "redo.sh", "words"]
