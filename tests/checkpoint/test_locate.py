import hashlib
import json
import os
from pathlib import Path

import pytest

from maya_batch.checkpoint.locate import DEMO, MAYA1, SNAC_24KHZ, Kind, absolute_name, cached_commit, find_checkpoint
from maya_batch.errors import MachineError, UsageError
from maya_batch.files.builtin_files import builtin
from tests.support.fakes import write_codec, write_gguf, write_hub_gguf, write_hub_model, write_model

COMMIT, OTHER = "0123456789" * 4, "f" * 40


@pytest.mark.parametrize(("kind", "folder"), [("model", "lm"), ("codec", "codec")])
def test_the_demo_voice_comes_with_the_program(kind: Kind, folder: str) -> None:
    found = find_checkpoint(DEMO, kind)
    assert found.path == builtin("assets", "demo-voice", folder)
    assert found.revision is None
    assert cached_commit(DEMO) is None


def test_a_folder_is_found_by_its_path(tmp_path: Path) -> None:
    model, codec = write_model(tmp_path / "lm"), write_codec(tmp_path / "codec")
    assert find_checkpoint(str(model), "model").path == model
    assert find_checkpoint(str(codec), "codec").path == codec


def test_the_identity_of_a_folder_is_its_names_and_bytes(tmp_path: Path) -> None:
    one, two = (find_checkpoint(str(write_model(tmp_path / name)), "model") for name in ("one", "two"))
    assert one.identity() == two.identity()
    assert one.identity().startswith("sha256:")
    os.utime(two.path / "model.safetensors", ns=(1, 1))
    (two.path / "README.md").write_text("read me")
    assert two.identity() == one.identity()
    assert two.stamps() != one.stamps()
    (two.path / "model.safetensors").write_bytes(b"weightz")
    changed = two.identity()
    assert changed != one.identity()
    (two.path / "model.safetensors").rename(two.path / "other.safetensors")
    assert two.identity() not in (changed, one.identity())


def test_a_model_of_the_cache_is_found_by_branch_and_by_commit(hub: Path) -> None:
    snapshot = write_hub_model(hub, "org/voice", COMMIT)
    aside = write_hub_model(hub, "org/voice", OTHER, "v1")
    for name, folder, commit in (
        ("org/voice", snapshot, COMMIT),
        ("org/voice@main", snapshot, COMMIT),
        (f"org/voice@{COMMIT}", snapshot, COMMIT),
        ("org/voice@v1", aside, OTHER),
        (f"org/voice@{OTHER}", aside, OTHER),
    ):
        found = find_checkpoint(name, "model")
        assert (found.path, found.revision) == (folder, commit)
        assert found.identity() == f"hub:org/voice@{commit}"
        assert cached_commit(name) == commit


def test_a_pinned_commit_comes_before_the_branch(hub: Path) -> None:
    snapshot = write_hub_model(hub, "org/voice", COMMIT)
    write_hub_model(hub, "org/voice", OTHER)
    assert find_checkpoint("org/voice", "model", COMMIT).path == snapshot
    assert find_checkpoint("org/voice", "model").revision == OTHER


def test_maya1_that_is_not_there_is_told_with_the_way_to_get_it(hub: Path) -> None:
    with pytest.raises(MachineError) as caught:
        find_checkpoint(MAYA1, "model")
    assert str(caught.value) == (
        "model maya-research/maya1 is not on this machine; get it with `maya-batch fetch maya-research/maya1` "
        "(6.2 GiB), or try the built-in demo voice with `--model demo`"
    )


def test_a_codec_that_is_not_there_is_told_with_the_way_to_get_it(hub: Path) -> None:
    with pytest.raises(MachineError) as caught:
        find_checkpoint(SNAC_24KHZ, "codec")
    assert str(caught.value) == (
        "codec hubertsiuzdak/snac_24khz is not on this machine; "
        "get it with `maya-batch fetch hubertsiuzdak/snac_24khz` (80 MB)"
    )


@pytest.mark.parametrize("name", ["org/other", "org/voice@v9", f"org/voice@{OTHER}", "org/voice@a/b"])
def test_what_the_cache_does_not_hold_is_not_on_this_machine(name: str, hub: Path) -> None:
    write_hub_model(hub, "org/voice", COMMIT)
    with pytest.raises(MachineError, match=f"get it with `maya-batch fetch {name}`"):
        find_checkpoint(name, "model")
    assert cached_commit(name) is None


def test_a_branch_whose_snapshot_is_gone_is_not_on_this_machine(hub: Path) -> None:
    write_hub_model(hub, "org/voice", COMMIT)
    (hub / "models--org--voice" / "refs" / "main").write_text(OTHER)
    with pytest.raises(MachineError, match="is not on this machine"):
        find_checkpoint("org/voice", "model")


@pytest.mark.parametrize("content", ["../../elsewhere", "main", ""])
def test_a_branch_that_holds_no_commit_leads_nowhere(content: str, hub: Path) -> None:
    write_hub_model(hub, "org/voice", COMMIT)
    write_model(hub / "models--org--voice" / "elsewhere")
    (hub / "models--org--voice" / "refs" / "main").write_text(content)
    with pytest.raises(MachineError, match="is not on this machine"):
        find_checkpoint("org/voice", "model")


def test_a_revision_does_not_lead_out_of_the_cache(hub: Path) -> None:
    write_hub_model(hub, "org/voice", COMMIT)
    (hub / "secret").write_text(COMMIT)
    with pytest.raises(MachineError, match="is not on this machine"):
        find_checkpoint("org/voice@../../secret", "model")


def test_a_file_with_the_name_of_a_hub_id_is_a_mistake_and_the_cache_comes_first(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org").mkdir()
    (tmp_path / "org" / "voice").touch()
    with pytest.raises(UsageError, match=r"^model org/voice: a file, where a folder or a \.gguf file is needed$"):
        find_checkpoint("org/voice", "model")
    write_hub_model(hub, "org/voice", COMMIT)
    assert find_checkpoint("org/voice", "model").revision == COMMIT


@pytest.mark.parametrize(
    "name",
    ["maya1", "/no/such/folder", "./no/such", "../no/such", "~/models/maya1", "a/b/c", "org/voice@", "a b/c", "org/"],
)
def test_what_is_neither_a_folder_nor_a_hub_id_is_a_mistake(name: str, hub: Path) -> None:
    with pytest.raises(UsageError, match="no such folder, and not a hub id like maya-research/maya1; or use demo"):
        find_checkpoint(name, "model")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_model_that_is_not_whole_names_what_is_missing(missing: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "lm")
    (folder / missing).unlink()
    named = missing.replace("model.", "*.")
    with pytest.raises(MachineError) as caught:
        find_checkpoint(str(folder), "model")
    assert str(caught.value) == f"model {folder} is incomplete, it lacks {named}; copy it there again"


@pytest.mark.parametrize("missing", ["config.json", "pytorch_model.bin"])
def test_a_codec_that_is_not_whole_names_what_is_missing(missing: str, tmp_path: Path) -> None:
    folder = write_codec(tmp_path / "codec")
    (folder / missing).unlink()
    with pytest.raises(MachineError, match=f"is incomplete, it lacks {missing}"):
        find_checkpoint(str(folder), "codec")


def sharded(folder: Path, index: object) -> Path:
    write_model(folder)
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text(index if isinstance(index, str) else json.dumps(index))
    return folder


TWO = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}


def test_each_shard_of_the_index_must_be_there(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "lm", TWO)
    with pytest.raises(MachineError, match=r"is incomplete, it lacks model-00002-of-00002.safetensors;"):
        find_checkpoint(str(folder), "model")
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"")
    assert find_checkpoint(str(folder), "model").path == folder


@pytest.mark.parametrize(
    "index",
    [
        "{",
        "[]",
        "{}",
        {"weight_map": 5},
        {"weight_map": {"a": 5}},
        {"weight_map": {"a": ["x"]}},
        {"weight_map": {"a": "../outside.safetensors"}},
        {"weight_map": {"a": "sub/inside.safetensors"}},
        {"weight_map": {"a": "config.json"}},
        "[" * 100_000,
    ],
)
def test_an_index_that_names_no_shards_of_its_own_folder_is_refused(index: object, tmp_path: Path) -> None:
    (tmp_path / "outside.safetensors").write_bytes(b"")
    folder = sharded(tmp_path / "lm", index)
    (folder / "sub").mkdir()
    (folder / "sub" / "inside.safetensors").write_bytes(b"")
    with pytest.raises(MachineError, match=r"it lacks a readable model.safetensors.index.json"):
        find_checkpoint(str(folder), "model")


def test_an_absolute_shard_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside.safetensors").write_bytes(b"")
    folder = sharded(tmp_path / "lm", {"weight_map": {"a": str(tmp_path / "outside.safetensors")}})
    with pytest.raises(MachineError, match="is incomplete"):
        find_checkpoint(str(folder), "model")


def test_a_download_that_broke_off_is_told_with_the_command_that_ends_it(hub: Path) -> None:
    snapshot = write_hub_model(hub, "org/voice", COMMIT)
    (snapshot / "model.safetensors").resolve().unlink()  # the link is there, its blob is not
    with pytest.raises(MachineError) as caught:
        find_checkpoint("org/voice", "model")
    assert str(caught.value) == (
        f"model {snapshot} is incomplete, it lacks *.safetensors; run `maya-batch fetch org/voice` again"
    )


def test_a_folder_of_a_book_is_named_from_the_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path / "models" / "lm")
    monkeypatch.chdir("/")
    assert absolute_name("./models/lm", tmp_path) == str(tmp_path / "models" / "lm")
    assert absolute_name("org/voice", tmp_path) == "org/voice"
    (tmp_path / "demo").mkdir()
    assert absolute_name("demo", tmp_path) == "demo"


# --- GGUF files --------------------------------------------------------------------------------------------------


def test_a_gguf_file_is_found_by_its_path_and_identified_by_its_bytes(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "maya1.gguf", b"GGUF weights")
    found = find_checkpoint(str(path), "model")
    assert (found.path, found.revision, found.files()) == (path, None, [path])
    assert found.identity() == f"sha256:{hashlib.sha256(b'GGUF weights').hexdigest()}"
    assert found.stamps() == {"maya1.gguf": [12, path.stat().st_mtime_ns]}
    path.write_bytes(b"GGUF WEIGHTS")
    assert found.identity() == f"sha256:{hashlib.sha256(b'GGUF WEIGHTS').hexdigest()}"


def test_a_gguf_file_that_was_renamed_or_moved_is_the_same_model(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "maya1.gguf", b"GGUF weights")
    before = find_checkpoint(str(path), "model")
    identity, stamps = before.identity(), before.stamps()
    (tmp_path / "models").mkdir()
    after = find_checkpoint(str(path.rename(tmp_path / "models" / "other.gguf")), "model")
    assert after.identity() == identity
    assert list(after.stamps().values()) == list(stamps.values())


def test_a_gguf_file_of_the_hubs_cache_is_identified_as_any_other(hub: Path, tmp_path: Path) -> None:
    snapshot = write_hub_gguf(hub, "org/voice-GGUF", COMMIT, "maya1.gguf")
    found = find_checkpoint(str(snapshot / "maya1.gguf"), "model")
    copy = find_checkpoint(str(write_gguf(tmp_path / "copy.gguf", b"maya1.gguf")), "model")
    assert (found.path, found.revision) == (snapshot / "maya1.gguf", None)
    assert found.identity() == copy.identity()
    assert found.stamps()["maya1.gguf"][0] == len("maya1.gguf")
    found.path.resolve().unlink()
    with pytest.raises(MachineError, match="no such file"):
        find_checkpoint(str(found.path), "model")


@pytest.mark.parametrize("name", ["/no/such.gguf", "org/voice.gguf", "voice.gguf"])
def test_a_gguf_file_that_is_not_there_is_told_with_the_ways_to_get_one(name: str, hub: Path) -> None:
    write_hub_model(hub, "org/voice.gguf", COMMIT)
    with pytest.raises(MachineError) as caught:
        find_checkpoint(name, "model")
    assert str(caught.value) == (
        f"model {name}: no such file; download one with `maya-batch fetch mradermacher/maya1-GGUF --file "
        "'*Q4_K_M.gguf'`, or make one with `maya-batch convert`"
    )
    assert cached_commit(name) is None
    assert find_checkpoint("org/voice.gguf@main", "model").revision == COMMIT


def test_a_folder_with_the_name_of_a_gguf_file_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "lm.gguf")
    with pytest.raises(UsageError) as caught:
        find_checkpoint(str(folder), "model")
    assert str(caught.value) == f"model {folder}: not a regular file; rename it if it is a folder"


def test_a_gguf_file_is_no_codec(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "maya1.gguf")
    with pytest.raises(UsageError) as caught:
        find_checkpoint(str(path), "codec")
    assert str(caught.value) == (
        f"codec {path}: a GGUF file contains no codec; name a folder or a hub id like hubertsiuzdak/snac_24khz"
    )


def test_a_repository_of_gguf_files_names_those_that_were_fetched(hub: Path) -> None:
    snapshot = write_hub_gguf(hub, "org/voice-GGUF", COMMIT, "b.gguf", "a.gguf", "more/c.gguf")
    with pytest.raises(UsageError) as caught:
        find_checkpoint("org/voice-GGUF", "model")
    names = ", ".join(str(snapshot / name) for name in ("a.gguf", "b.gguf", "more/c.gguf"))
    assert str(caught.value) == f"model org/voice-GGUF: it has only GGUF files; name the file with --model: {names}"


def test_a_folder_of_gguf_files_names_them_unless_it_has_other_weights(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "lm")
    path = write_gguf(folder / "maya1.gguf")
    assert find_checkpoint(str(folder), "model").path == folder
    (folder / "model.safetensors").unlink()
    with pytest.raises(UsageError, match=f"it has only GGUF files; name the file with --model: {path}"):
        find_checkpoint(str(folder), "model")


def test_a_gguf_file_of_a_book_is_named_from_the_book_and_keeps_its_suffix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    assert absolute_name("./models/maya1.gguf", tmp_path) == str(tmp_path / "models" / "maya1.gguf")  # not there
    blob = write_gguf(tmp_path / "blobs" / "0123")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "maya1.gguf").symlink_to(blob)
    (tmp_path / "link").symlink_to(tmp_path / "models")
    for name in ("models/maya1.gguf", "link/maya1.gguf", str(tmp_path / "link" / ".." / "models" / "maya1.gguf")):
        assert absolute_name(name, tmp_path) == str(tmp_path / "models" / "maya1.gguf")
