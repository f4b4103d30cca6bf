import json
import sys
from pathlib import Path

import pytest

from maya_batch.messages.install_hint import install_hint

REQUIRES = ["typer", 'faster-whisper<2,>=1.2; extra == "verify"', 'nvidia-cublas-cu12; extra == "verify-cuda"']


class Installed:
    """A distribution, as far as it is asked."""

    requires = REQUIRES

    def __init__(self, origin: object) -> None:
        self._origin = origin

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self._origin is None else json.dumps(self._origin)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of this program, with its virtual environment."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    (folder / "constraints.txt").touch()
    monkeypatch.setattr(sys, "prefix", str(folder / ".venv"))
    return folder


def installed(origin: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maya_batch.messages.install_hint.distribution", lambda name: Installed(origin))


def test_in_a_clone_it_is_the_command_of_the_readme(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed({"url": clone.as_uri(), "dir_info": {}}, monkeypatch)
    monkeypatch.chdir(clone)
    assert install_hint("verify") == ".venv/bin/pip install -c constraints.txt '.[verify]'"
    monkeypatch.chdir(clone.parent)
    assert install_hint("verify") == f"cd '{clone}' && .venv/bin/pip install -c constraints.txt '.[verify]'"


def test_what_is_worked_on_stays_editable(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed({"url": clone.as_uri(), "dir_info": {"editable": True}}, monkeypatch)
    monkeypatch.setattr(sys, "prefix", "/elsewhere")
    (clone / "constraints.txt").unlink()
    monkeypatch.chdir(clone)
    assert install_hint("verify-cuda") == "/elsewhere/bin/pip install -e '.[verify-cuda]'"


@pytest.mark.parametrize(
    "origin",
    [None, [], {"url": 3, "dir_info": {}}, {"url": "file:///gone", "dir_info": {}}, {"url": "https://x/y.whl"}],
)
def test_without_a_clone_it_names_what_is_needed(origin: object, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(origin, monkeypatch)
    assert install_hint("verify") == f"{sys.executable} -m pip install 'faster-whisper<2,>=1.2'"
    assert "nvidia-cublas-cu12" in install_hint("verify-cuda")
