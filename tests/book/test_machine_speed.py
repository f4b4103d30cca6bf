import pwd
from pathlib import Path

import pytest

from maya_batch.book.machine_speed import Speed, save_speed, saved_speed, speed_file
from maya_batch.errors import MachineError

SPEED = Speed("A card", 200.0, 12.3)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_speed_is_kept_for_each_kind_of_model(cache: Path) -> None:
    assert saved_speed("demo") is None
    assert save_speed("demo", SPEED) == cache / "maya-batch" / "bench.json"
    assert saved_speed("demo") == SPEED
    assert saved_speed("maya-research/maya1") is None
    save_speed(None, SPEED)
    assert saved_speed("org/another") == saved_speed("demo") == SPEED


def test_the_speed_of_a_gguf_file_is_kept_by_its_name(cache: Path) -> None:
    save_speed("models/maya1.Q4_K_M.gguf", SPEED)
    assert saved_speed("/home/me/models/maya1.Q4_K_M.gguf") == SPEED
    assert saved_speed("models/maya1.f16.gguf") is None
    assert saved_speed("maya-research/maya1") is None


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"demo": 3}', '{"demo": {"device": "x"}}', '{"demo": {}}'])
def test_a_damaged_file_holds_no_speed(cache: Path, text: str) -> None:
    path = speed_file()
    assert path is not None
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert saved_speed("demo") is None


def test_a_user_without_a_home_has_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(MachineError, match="no home folder"):
        save_speed("demo", SPEED)
    assert saved_speed("demo") is None
