import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from maya_batch.book.model_lock import ModelConfig, ModelLock
from maya_batch.checkpoint.locate import Checkpoint
from maya_batch.errors import MachineError
from tests.support.fakes import write_codec, write_gguf, write_hub_gguf, write_hub_model, write_model

REPO = "org/voice"
OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.lock"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the checkpoints whose identity was asked for."""
    names: list[str] = []
    identity = Checkpoint.identity

    def plural(checkpoint: Checkpoint) -> str:
        names.append(checkpoint.name)
        return identity(checkpoint)

    monkeypatch.setattr(Checkpoint, "identity", plural)
    return names


def pinned(path: Path, name: str) -> ModelConfig:
    """A book begun with this model."""
    lock = ModelLock(path)
    lock.locate(name, "model")
    model_config = ModelConfig(lock.identity(name, "model"), "bfloat16", "nf4", "framed")
    lock.pin(name, model_config)
    lock.save()
    return model_config


def test_a_book_that_was_not_begun_has_no_pins(path: Path) -> None:
    lock = ModelLock(path)
    assert lock.model_config("demo") is None
    assert lock.codec("demo") is None
    assert lock.models() == []
    assert not path.exists()


def test_pins_come_back_as_they_were(path: Path, tmp_path: Path) -> None:
    model, codec = str(write_model(tmp_path / "lm")), str(write_codec(tmp_path / "codec"))
    model_config = pinned(path, model)
    lock = ModelLock(path)
    assert lock.locate(codec, "codec").path == Path(codec)
    lock.save()
    again = ModelLock(path)
    assert model_config.model.startswith("sha256:")
    assert again.model_config(model) == model_config
    assert again.models() == [model]
    assert again.codec(codec) == again.identity(codec, "codec")
    assert again.identity(codec, "codec").startswith("sha256:")
    assert again.model_config("demo") is None


def test_a_model_that_was_only_looked_at_is_no_recipe(path: Path, tmp_path: Path) -> None:
    model = str(write_model(tmp_path / "lm"))
    lock = ModelLock(path)
    lock.locate(model, "model")
    lock.save()
    assert ModelLock(path).model_config(model) is None
    assert ModelLock(path).models() == []


def test_what_was_pinned_is_not_hashed_again(path: Path, tmp_path: Path, hashed: list[str]) -> None:
    model = str(write_model(tmp_path / "lm"))
    pinned(path, model)
    assert hashed == [model]
    for _ in range(3):
        lock = ModelLock(path)
        assert lock.model_config(model) is not None
        lock.locate(model, "model")
        lock.save()
    assert hashed == [model]


def test_a_file_with_another_time_but_the_same_bytes_is_accepted_and_stamped_anew(
    path: Path, tmp_path: Path, hashed: list[str]
) -> None:
    folder = write_model(tmp_path / "lm")
    model_config = pinned(path, str(folder))
    os.utime(folder / "model.safetensors", ns=(1, 1))
    lock = ModelLock(path)
    lock.locate(str(folder), "model")
    lock.save()
    assert len(hashed) == 2
    assert ModelLock(path).model_config(str(folder)) == model_config
    ModelLock(path).locate(str(folder), "model")
    assert len(hashed) == 2


def overwrite(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"WEIGHTS")


def add(folder: Path) -> None:
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "tokenizer.json").write_text("{}")


def remove(folder: Path) -> None:
    (folder / "maya_tokens.json").unlink()


@pytest.mark.parametrize("change", [overwrite, add, remove])
@pytest.mark.parametrize("kept_time", [True, False])
def test_a_folder_that_has_changed_is_refused(
    change: Callable[[Path], None], kept_time: bool, path: Path, tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "lm")
    pinned(path, str(folder))
    before = path.read_text()
    change(folder)
    if not kept_time:
        for file in folder.glob("*.*"):
            os.utime(file, ns=(5, 5))
    lock = ModelLock(path)
    with pytest.raises(MachineError, match="has changed since this book was started; restore the old files, or add"):
        lock.locate(str(folder), "model")
    lock.save()
    assert path.read_text() == before


def test_a_file_that_does_not_shape_the_sound_may_change(path: Path, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "lm")
    pinned(path, str(folder))
    (folder / "README.md").write_text("new")
    (folder / "generation_config.json").write_text("{}")
    assert ModelLock(path).locate(str(folder), "model").path == folder


def test_a_model_of_the_hub_is_pinned_to_its_commit(path: Path, hub: Path) -> None:
    write_hub_model(hub, REPO, OLD)
    assert pinned(path, REPO).model == f"hub:{REPO}@{OLD}"


def test_a_branch_that_moved_on_is_said_and_the_books_own_commit_used(
    path: Path, hub: Path, caplog: pytest.LogCaptureFixture
) -> None:
    snapshot = write_hub_model(hub, REPO, OLD)
    pinned(path, REPO)
    ModelLock(path).locate(REPO, "model")
    assert caplog.messages == []
    write_hub_model(hub, REPO, NEW)
    found = ModelLock(path).locate(REPO, "model")
    assert found.path == snapshot
    assert found.revision == OLD
    assert caplog.messages == [f"{REPO} is now at revision {NEW}; this book stays at {OLD}"]
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize("branch", ["main", None])
def test_a_pinned_commit_that_is_gone_is_named_with_the_command_that_gets_it(
    branch: str | None, path: Path, hub: Path
) -> None:
    pinned_folder = write_hub_model(hub, REPO, OLD)
    pinned(path, REPO)
    for file in pinned_folder.iterdir():
        file.unlink()
    pinned_folder.rmdir()
    write_hub_model(hub, REPO, NEW, branch)
    with pytest.raises(MachineError) as caught:
        ModelLock(path).locate(REPO, "model")
    assert str(caught.value) == (
        f"model {REPO}@{OLD} is not on this machine at the revision that this book was started with; get it with "
        f"`maya-batch fetch {REPO}@{OLD}`, or try the built-in demo voice with `--model demo`"
    )


def test_a_pinned_commit_that_is_not_whole_is_fetched_by_its_commit(path: Path, hub: Path) -> None:
    snapshot = write_hub_model(hub, REPO, OLD)
    pinned(path, REPO)
    write_hub_model(hub, REPO, NEW)
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(MachineError, match=f"run `maya-batch fetch {REPO}@{OLD}` again"):
        ModelLock(path).locate(REPO, "model")


# --- GGUF files --------------------------------------------------------------------------------------------------


def test_a_gguf_file_is_pinned_by_its_bytes_and_hashed_once(path: Path, tmp_path: Path, hashed: list[str]) -> None:
    model = write_gguf(tmp_path / "maya1.gguf", b"GGUF weights")
    model_config = pinned(path, str(model))
    assert model_config.model == f"sha256:{hashlib.sha256(b'GGUF weights').hexdigest()}"
    lock = ModelLock(path)
    assert lock.is_as_pinned(str(model), "model")
    assert lock.locate(str(model), "model").path == model
    assert hashed == [str(model)]
    os.utime(model, ns=(1, 1))
    assert lock.is_as_pinned(str(model), "model")
    lock.locate(str(model), "model")
    lock.save()
    assert ModelLock(path).model_config(str(model)) == model_config
    assert yaml.safe_load(path.read_text())["model"][str(model)]["files"] == {"maya1.gguf": [12, 1]}


def test_a_gguf_file_that_has_changed_is_refused_until_it_is_switched_to(path: Path, tmp_path: Path) -> None:
    model = write_gguf(tmp_path / "maya1.gguf", b"GGUF weights")
    before = pinned(path, str(model))
    model.write_bytes(b"GGUF WEIGHTS")
    os.utime(model, ns=(5, 5))
    lock = ModelLock(path)
    assert not lock.is_as_pinned(str(model), "model")
    with pytest.raises(MachineError) as caught:
        lock.locate(str(model), "model")
    assert str(caught.value) == (
        f"model {model} has changed since this book was started; restore the old files, or add "
        "--switch-model-config to render the book with the new ones"
    )
    lock.locate(str(model), "model", switch=True)
    assert lock.identity(str(model), "model") != before.model
    lock.pin(str(model), ModelConfig(lock.identity(str(model), "model"), "bfloat16", "nf4", "framed"))
    assert [config.model for _, config in lock.configs()] == [lock.identity(str(model), "model"), before.model]


@pytest.mark.parametrize("name", ["models/maya1.gguf", "other.gguf", "models/other.gguf"])
def test_a_gguf_file_that_was_renamed_or_moved_is_found_without_hashing(
    name: str, path: Path, tmp_path: Path, hashed: list[str]
) -> None:
    old = write_gguf(tmp_path / "maya1.gguf", b"GGUF weights")
    model_config = pinned(path, str(old))
    (tmp_path / "models").mkdir()
    new = str(old.rename(tmp_path / name))
    lock = ModelLock(path, tmp_path)
    assert lock.model_config(new) == model_config
    assert lock.models() == [f"./{name}"]
    assert len(hashed) == 1
    lock.locate(new, "model")  # and here the bytes are compared, if the name is another one
    assert lock.identity(new, "model") == model_config.model


def test_a_copy_of_a_gguf_file_is_recognized_by_its_bytes_and_both_names_stay(path: Path, tmp_path: Path) -> None:
    model = write_gguf(tmp_path / "maya1.gguf", b"GGUF weights")
    model_config = pinned(path, str(model))
    copy, other = write_gguf(tmp_path / "copy.gguf", b"GGUF weights"), write_gguf(tmp_path / "other.gguf", b"GGUF")
    os.utime(copy, ns=(7, 7))
    lock = ModelLock(path)
    lock.recognize(str(copy))
    lock.recognize(str(other))
    assert lock.models() == [str(model), str(copy)]
    assert lock.model_config(str(copy)) == model_config
    model.unlink()
    moved = str(copy.rename(tmp_path / "moved.gguf"))
    lock = ModelLock(path)
    lock.recognize(moved)
    assert lock.models() == [moved]


def test_a_gguf_file_with_the_same_size_and_time_but_other_bytes_is_refused(path: Path, tmp_path: Path) -> None:
    old = write_gguf(tmp_path / "old.gguf", b"GGUF weights")
    pinned(path, str(old))
    new = write_gguf(tmp_path / "new.gguf", b"GGUF WEIGHTS")
    os.utime(new, ns=(old.stat().st_atime_ns, old.stat().st_mtime_ns))
    old.unlink()
    with pytest.raises(MachineError, match="has changed since this book was started"):
        ModelLock(path).locate(str(new), "model")


def test_a_gguf_file_of_the_hubs_cache_is_pinned_by_its_bytes(path: Path, hub: Path) -> None:
    snapshot = write_hub_gguf(hub, "org/voice-GGUF", OLD, "maya1.gguf")
    name = str(snapshot / "maya1.gguf")
    assert pinned(path, name).model == f"sha256:{hashlib.sha256(b'maya1.gguf').hexdigest()}"
    assert ModelLock(path).is_as_pinned(name, "model")
    assert ModelLock(path).locate(name, "model").revision is None


VALID = {
    "version": 1,
    "model": {
        "demo": {
            "identity": "sha256:00",
            "files": {"config.json": [1, 2]},
            "recipe": {"dtype": "float32", "quantization": "none", "decoding": "framed"},
        }
    },
    "codec": {"demo": {"identity": "sha256:11", "files": {}}},
}


def test_only_a_cache_in_8_bits_is_written_down(path: Path, tmp_path: Path) -> None:
    model = str(write_model(tmp_path / "lm"))
    in_model_format = pinned(path, model)
    assert "kv_cache" not in path.read_text()
    lock = ModelLock(path)
    lock.pin(model, replace(in_model_format, kv_cache="int8"))
    lock.save()
    assert "kv_cache: int8" in path.read_text()
    again = ModelLock(path)
    assert again.model_config(model) == replace(in_model_format, kv_cache="int8")
    assert [str(config) for _, config in again.configs()] == ["bfloat16,nf4,framed,int8", "bfloat16,nf4,framed"]
    again.pin(model, in_model_format)
    again.forget(model, replace(in_model_format, kv_cache="int8"))
    again.save()
    assert "kv_cache" not in path.read_text()


def test_the_lock_used_below_is_a_whole_one(path: Path) -> None:
    path.write_text(yaml.safe_dump(VALID))
    assert ModelLock(path).model_config("demo") == ModelConfig("sha256:00", "float32", "none", "framed")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "5",
        "- 1",
        "{",
        "\0",
        "version: 2\nmodel: {}\ncodec: {}\n",
        "version: 1\nmodel: {}\n",
        "version: 1\nmodel: []\ncodec: {}\n",
        "version: 1\nmodel: {demo: {}}\ncodec: {}\n",
        "version: 1\nmodel: {demo: {identity: 5, files: {}}}\ncodec: {}\n",
        "version: 1\nmodel: {demo: {identity: 'sha256:0', files: [[a, b]]}}\ncodec: {}\n",
        "version: 1\nmodel: {demo: {identity: 'sha256:0', files: {}, recipe: {dtype: float32}}}\ncodec: {}\n",
        "version: 1\nmodel: {demo: {identity: 'sha256:0', files: {}, recipe: [a]}}\ncodec: {}\n",
        yaml.safe_dump(VALID)[:120],
        "a: !!python/object/apply:os.getcwd []",
    ],
)
def test_a_lock_that_is_none_is_an_error_and_is_left_alone(content: str, path: Path) -> None:
    path.write_text(content)
    with pytest.raises(MachineError) as caught:
        ModelLock(path)
    assert str(caught.value) == (
        f"{path}: not a model.lock of this version; restore a copy of it, or delete it to start over"
    )
    assert path.read_text() == content


def test_a_lock_that_is_not_text_is_an_error(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(MachineError, match=r"not a model\.lock"):
        ModelLock(path)


def test_a_lock_that_is_a_folder_is_an_error(path: Path) -> None:
    path.mkdir()
    with pytest.raises(MachineError, match=r"not a model\.lock"):
        ModelLock(path)


def test_the_file_is_written_only_where_it_changed_and_whole(path: Path, tmp_path: Path) -> None:
    pinned(path, str(write_model(tmp_path / "lm")))
    os.utime(path, ns=(1, 1))
    ModelLock(path).save()
    assert path.stat().st_mtime_ns == 1
    assert list(tmp_path.glob(".*")) == []


def test_a_lock_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "model.lock"
    with pytest.raises(MachineError, match=r"model.lock: cannot be written: No such file or directory"):
        ModelLock(path).save()
