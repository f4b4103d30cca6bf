"""A respelling is heard, and a changed entry renders only the chunks with it."""

import re
from pathlib import Path

import yaml

from tests.support.asr import transcribe
from tests.support.demo import FEMALE, maya

TEXT = "The river was high.\n\nThen Hermione closed the window."


def write(folder: Path, respelling: str) -> Path:
    data = {
        "title": "Said",
        "voices": {"voice": FEMALE},
        "lexicon": {"Hermione": respelling},
        "render": {"model": "demo"},
        "chapters": [{"title": "One", "text": TEXT}],
    }
    path = folder / "book.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path


def test_a_respelling_is_heard_and_a_changed_entry_renders_its_chunk_alone(tmp_path: Path) -> None:
    first = maya("render", write(tmp_path, "the doctor"), "--verify", "off")
    assert first.returncode == 0, first.stderr
    heard = transcribe(tmp_path / "book" / "01-one.wav")
    assert "doctor" in heard
    assert "river" in heard
    second = maya("render", write(tmp_path, "the teacher"), "--verify", "off")
    assert second.returncode == 0, second.stderr
    assert re.search(r"^1 of 2 chunks to render$", second.stderr, re.MULTILINE)
    heard = transcribe(tmp_path / "book" / "01-one.wav")
    assert "teacher" in heard
    assert "doctor" not in heard
