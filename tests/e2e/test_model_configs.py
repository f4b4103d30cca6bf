"""A book has one model config at a time; takes of all that it ever had are kept, and it can be moved with its model."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict

import pytest
import yaml

from maya_batch.engine.api import CacheRounding
from maya_batch.wording import rendered_with
from tests.conftest import Said
from tests.support.fakes import FakeEngine, TinyBook, write_gguf, write_model

Cli = Callable[..., Said]

TEXT = {"One": ["The night was dark.", "The river was high."], "Two": ["The rain was gone."]}
OTHER = [
    *(("--dtype", "bfloat16"), ("--quantization", "nf4"), ("--decoding", "free"), ("--kv-cache", "int8")),
    ("--config", "night.yaml"),
]


@pytest.fixture
def rendered(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> TinyBook:
    monkeypatch.chdir(tiny.folder)
    (tiny.folder / "night.yaml").write_text("dtype: bfloat16\nquantization: nf4\n")
    tiny.write(TEXT)
    assert cli("render", tiny.path).code == 0
    return tiny


def takes(tiny: TinyBook) -> dict[str, bytes]:
    return {str(path.relative_to(tiny.output)): path.read_bytes() for path in tiny.output.rglob("*.npz")}


def lock(tiny: TinyBook) -> dict[str, object]:
    return dict(yaml.safe_load((tiny.output / ".maya" / "model.lock").read_text()))


def refused(said: Said, *parts: str) -> None:
    (line,) = said.err.splitlines()
    assert said.code == 2, said
    assert all(part in line for part in parts), line


def test_other_settings_than_the_books_are_refused_and_cost_no_take(
    rendered: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    before, spoken, pinned = takes(rendered), len(fake_engine.texts), lock(rendered)
    for flags in OTHER:
        for command in (("clean", "--yes"), ("render",), ("assemble",), ("redo", "1:1")):
            said = cli(command[0], rendered.path, *command[1:], *flags)
            refused(said, rendered_with(rendered.output, "./lm,float32,none,framed", "./lm,"), "--switch-model-config")
            assert (takes(rendered), len(fake_engine.texts), lock(rendered)) == (before, spoken, pinned)


def test_a_command_that_names_another_model_is_told_the_books(rendered: TinyBook, cli: Cli) -> None:
    """As one that lacks the --model with which the book was begun."""
    other = write_model(rendered.folder / "other")
    (other / "model.safetensors").write_bytes(b"other weights")
    told = f"the book's model is --model {rendered.folder / 'lm'}"
    for command in (("render",), ("assemble",), ("redo", "1:1"), ("check", "--store", "google"), ("clean", "--yes")):
        said = cli(command[0], rendered.path, *command[1:], "--model", other)
        assert said.code == 2
        assert told in said.err.splitlines()[-1]
        assert "remove --model" not in said.err
    assert told in cli("status", rendered.path, "--model", other).out


def test_a_look_with_other_settings_says_what_is_pinned_and_recommends_no_cleaning(
    rendered: TinyBook, cli: Cli
) -> None:
    for flags in OTHER:
        for command in ("status", "plan"):
            said = cli(command, rendered.path, *flags)
            assert said.code == 0
            assert "rendered with ./lm,float32,none,framed\n" in said.out
            assert "which `render` refuses without --switch-model-config" in said.out
            assert "clean" not in said.out
    assert "rendered with ./lm,float32,none,framed\n" in cli("status", rendered.path).out


def test_a_book_goes_on_with_the_cache_it_was_begun_with(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT)
    assert cli("render", tiny.path, "--kv-cache", "int8").code == 0
    first = takes(tiny)
    fake_engine.kv_cache = "model"
    tiny.write({**TEXT, "Three": ["The sun came out."]})
    assert cli("render", tiny.path).code == 0
    assert fake_engine.kv_cache == "int8"
    assert len(takes(tiny)) == len(first) + 1
    assert cli("render", tiny.path, "--kv-cache", "model").code == 2
    assert cli("render", tiny.path, "--kv-cache", "model", "--switch-model-config").code == 0
    assert len(takes(tiny)) == 2 * len(first) + 2


GOOD, BAD = CacheRounding(2, 800, 0.0001, 0.998), CacheRounding(2, 800, 0.2, 0.7)


@pytest.mark.parametrize(("found", "chosen"), [(GOOD, "int8"), (BAD, "model")])
def test_a_book_begins_with_the_cache_that_a_trial_on_its_first_takes_allows(
    found: CacheRounding, chosen: str, tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    fake_engine.offers_int8_cache, fake_engine.rounding = True, found
    tiny.write(TEXT)
    said = cli("render", tiny.path)
    assert said.code == 0
    assert f"KV cache {chosen}: on 2 takes, 8 bits change the predictions by {found.divergence:.6f}" in said.err
    assert fake_engine.kv_cache == chosen
    spoken = len(fake_engine.texts)
    assert spoken == (3 if chosen == "int8" else 6)  # what 8 bits spoke is the book's, or is spoken again
    (entry,) = lock(tiny)["model"].values()  # type: ignore[attr-defined]
    assert entry["recipe"].get("kv_cache", "model") == chosen
    assert entry["kv_cache_trial"] == {**asdict(found), "kv_cache": chosen}
    report = json.loads((tiny.output / "report.json").read_text())
    assert report["kv_cache_trial"] == entry["kv_cache_trial"]
    assert (report["engine"].endswith("kv-int8"), report["speech_hours"] > 0) == (chosen == "int8", True)
    assert len(takes(tiny)) == 3
    fake_engine.rounding, fake_engine.kv_cache = BAD, "model"
    tiny.write({**TEXT, "Three": ["The sun came out."]})
    assert cli("render", tiny.path).code == 0
    assert (fake_engine.kv_cache, len(fake_engine.texts)) == (chosen, spoken + 1)
    assert len(takes(tiny)) == 4
    assert "nothing to do" in cli("render", tiny.path).err


def test_takes_of_a_trial_are_those_that_the_cache_would_have_spoken(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    tiny.write({"One": ["The night was dark.", "Clumsy it was.", "The river was high."]})
    assert cli("render", tiny.path, "--kv-cache", "int8").code == 0
    asked = takes(tiny)
    fake_engine.requests.clear()
    fake_engine.offers_int8_cache, fake_engine.rounding = True, GOOD
    shutil.rmtree(tiny.output)
    assert cli("render", tiny.path).code == 0
    assert takes(tiny) == asked  # a take with a problem has its retry, too
    assert len(asked) == 4


def test_a_trial_is_made_where_the_cache_is_not_given_and_decoding_is_constrained(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    fake_engine.offers_int8_cache, fake_engine.rounding = True, GOOD
    tiny.write(TEXT)
    for flags in (("--kv-cache", "model"), ("--decoding", "free")):
        assert cli("render", tiny.path, *flags, "--output", tiny.folder / flags[1]).code == 0
        assert fake_engine.kv_cache == "model"
        assert "kv_cache_trial" not in (tiny.folder / flags[1] / ".maya" / "model.lock").read_text()


def test_a_book_begun_before_there_was_a_trial_goes_on_without_one(
    rendered: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    fake_engine.offers_int8_cache, fake_engine.rounding = True, GOOD
    before = takes(rendered)
    rendered.write({**TEXT, "Three": ["The sun came out."]})
    assert cli("render", rendered.path).code == 0
    assert (fake_engine.kv_cache, len(takes(rendered))) == ("model", len(before) + 1)
    assert takes(rendered).items() >= before.items()


def test_chosen_by_a_trial_or_not_an_audition_speaks_what_the_book_will_have(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    fake_engine.offers_int8_cache, fake_engine.rounding = True, GOOD
    tiny.write(TEXT, voice="anna")
    assert cli("audition", tiny.path, "--voice", "anna", "--seeds", "1").code == 0
    heard = fake_engine.requests[-1]
    assert not tiny.output.exists()
    assert cli("render", tiny.path).code == 0
    assert heard in fake_engine.requests[-3:]


def test_unconstrained_decoding_has_no_cache_in_8_bits(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT)
    said = cli("render", tiny.path, "--kv-cache", "int8", "--decoding", "free")
    assert (said.code, said.err.splitlines()[-1].endswith("remove --kv-cache int8")) == (2, True), said.err
    fake_engine.mass = 0.1
    assert cli("render", tiny.path, "--kv-cache", "int8").code == 2
    assert not takes(tiny)


def test_takes_of_every_config_are_kept_until_a_person_names_one(
    rendered: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    first = takes(rendered)
    assert cli("render", rendered.path, "--dtype", "bfloat16", "--switch-model-config").code == 0
    assert len(takes(rendered)) == 2 * len(first)
    said = cli("clean", rendered.path, "--yes")
    assert (said.code, said.out) == (0, "nothing to remove\n")
    assert (
        "rendered with ./lm,bfloat16,none,framed; before with ./lm,float32,none,framed"
        in cli("status", rendered.path).out
    )
    refused(
        cli("clean", rendered.path, "--yes", "--forget", "./lm,bfloat16,none,framed"), "no such earlier model config"
    )
    refused(cli("clean", rendered.path, "--yes", "--forget", "x"), "known: ./lm,float32,none,framed")
    assert len(takes(rendered)) == 2 * len(first)
    assert cli("clean", rendered.path, "--yes", "--forget", "./lm,float32,none,framed").code == 0
    assert len(takes(rendered)) == len(first)
    assert not takes(rendered).keys() & first.keys()
    assert "before with" not in cli("status", rendered.path).out
    assert "nothing to do" in cli("render", rendered.path).err


def test_the_takes_there_were_are_used_again_when_it_is_switched_back(
    rendered: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    files = {path.name: path.read_bytes() for path in rendered.output.glob("*.wav")}
    assert cli("render", rendered.path, "--dtype", "bfloat16", "--switch-model-config").code == 0
    spoken = len(fake_engine.texts)
    assert cli("render", rendered.path, "--dtype", "float32", "--switch-model-config").code == 0
    assert len(fake_engine.texts) == spoken
    assert {path.name: path.read_bytes() for path in rendered.output.glob("*.wav")} == files
    assert "nothing to do" in cli("render", rendered.path).err


@pytest.mark.parametrize("how", ["flag", "manifest"])
def test_another_model_is_refused_until_it_is_switched_to(
    how: str, rendered: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    other = write_model(rendered.folder / "other")
    (other / "model.safetensors").write_bytes(b"other weights")
    flags: tuple[object, ...] = ("--model", other) if how == "flag" else ()
    if how == "manifest":
        rendered.write(TEXT, render={"model": "./other", "codec": "./codec"})
    before = takes(rendered)
    refused(
        cli("render", rendered.path, *flags), rendered_with(rendered.output, "./lm,float32,none,framed", "./other;")
    )
    assert takes(rendered) == before
    assert cli("render", rendered.path, *flags, "--switch-model-config").code == 0
    assert "nothing to remove" in cli("clean", rendered.path, "--yes", *flags).out
    assert before.items() < takes(rendered).items()
    assert "nothing to do" in cli("render", rendered.path, *flags).err


def test_a_model_that_was_changed_is_refused_until_it_is_switched_to(
    rendered: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    (rendered.folder / "lm" / "model.safetensors").write_bytes(b"WEIGHTS")
    rendered.write(TEXT | {"Three": ["It was late."]})
    before = takes(rendered)
    said = cli("render", rendered.path)
    assert said.code == 5
    assert "restore the old files, or add --switch-model-config" in said.err.splitlines()[-1]
    assert cli("render", rendered.path, "--switch-model-config").code == 0
    assert before.items() < takes(rendered).items()
    assert len(takes(rendered)) == 7
    assert "nothing to remove" in cli("clean", rendered.path, "--yes").out


def test_as_long_as_a_model_is_not_there_no_take_is_left_over(rendered: TinyBook, cli: Cli) -> None:
    rendered.write({"One": ["All is new."]})
    (rendered.folder / "lm").rename(rendered.folder / "elsewhere")
    rendered.write({"One": ["All is new."]}, render={"model": "org/voice", "codec": "./codec"})
    before = takes(rendered)
    said = cli("clean", rendered.path, "--yes", "--model", "org/voice")
    assert said.code == 2  # another model than the book's
    rendered.write({"One": ["All is new."]}, render={"model": "./elsewhere", "codec": "./codec"})
    (rendered.folder / "elsewhere").rename(rendered.folder / "lm")
    rendered.write({"One": ["All is new."]})
    (rendered.folder / "lm" / "model.safetensors").rename(rendered.folder / "weights")  # a drive that is not mounted
    said = cli("clean", rendered.path, "--yes")
    assert "model ./lm that the book uses is not on this machine" in said.err
    assert takes(rendered) == before
    (rendered.folder / "weights").rename(rendered.folder / "lm" / "model.safetensors")
    assert cli("clean", rendered.path, "--yes").code == 0
    assert takes(rendered) == {}


def test_as_long_as_a_model_is_another_one_no_take_is_left_over(rendered: TinyBook, cli: Cli) -> None:
    config = rendered.folder / "lm" / "config.json"
    before, kept = takes(rendered), config.read_text()
    config.write_text('{"max_position_embeddings": 400}')
    said = cli("clean", rendered.path, "--yes")
    assert "model ./lm that the book uses is not on this machine; no takes are listed" in said.err
    assert takes(rendered) == before
    assert "model ./lm is missing, or has changed" in cli("status", rendered.path).out
    config.write_text(kept)
    assert cli("clean", rendered.path, "--yes").out == "nothing to remove\n"


# --- a book that is moved --------------------------------------------------------------------------------------------


def as_0_1_named_it(tiny: TinyBook) -> None:
    """Version 0.1 kept the model under its whole path."""
    path = tiny.output / ".maya" / "model.lock"
    path.write_text(
        path.read_text().replace("./lm:", f"{tiny.folder}/lm:").replace("./codec:", f"{tiny.folder}/codec:")
    )


@pytest.mark.parametrize("old", [False, True], ids=["new lock", "0.1's lock"])
@pytest.mark.parametrize("copied", [False, True], ids=["moved", "copied"])
def test_a_book_is_moved_with_its_model(
    copied: bool,
    old: bool,
    rendered: TinyBook,
    fake_engine: FakeEngine,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    if old:
        as_0_1_named_it(rendered)
    home, spoken = tmp_path_factory.mktemp("home") / "moved", len(fake_engine.texts)
    monkeypatch.chdir("/")
    if copied:
        shutil.copytree(rendered.folder, home, copy_function=shutil.copyfile)  # with new times
    shutil.rmtree(rendered.folder) if copied else rendered.folder.rename(home)
    moved = TinyBook(home)
    assert "3 of 3 chunks rendered" in cli("status", moved.path).out
    assert "nothing to do" in cli("render", moved.path).err
    assert cli("assemble", moved.path).code == 0
    assert cli("clean", moved.path, "--yes").out == "nothing to remove\n"
    assert cli("redo", moved.path, "1:1").code == 0
    assert len(fake_engine.texts) == spoken + 1
    assert cli("render", moved.path).code == 0
    assert str(rendered.folder) not in (home / "book" / ".maya" / "model.lock").read_text() or not old


def test_a_model_that_was_moved_is_known_by_its_files(
    rendered: TinyBook, fake_engine: FakeEngine, cli: Cli, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere, spoken = tmp_path_factory.mktemp("models") / "voice", len(fake_engine.texts)
    shutil.move(rendered.folder / "lm", elsewhere)
    for command in ("status", "render", "assemble"):
        said = cli(command, rendered.path, "--model", elsewhere)
        assert said.code == 0, said.err
    assert len(fake_engine.texts) == spoken


@pytest.mark.parametrize("name", ["lm", "./lm"])
def test_a_folder_beside_the_manifest_is_named_with_or_without_a_dot(
    name: str, rendered: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    spoken = len(fake_engine.texts)
    rendered.write(TEXT, render={"model": name, "codec": name.replace("lm", "codec")})
    assert "nothing to do" in cli("render", rendered.path).err
    assert len(fake_engine.texts) == spoken


def test_a_hub_id_that_is_a_folder_beside_the_manifest_is_a_mistake_that_is_named(rendered: TinyBook, cli: Cli) -> None:
    shutil.copytree(rendered.folder / "lm", rendered.folder / "models" / "lm")
    rendered.write(TEXT, render={"model": "models/lm", "codec": "./codec"})
    said = cli("plan", rendered.path)
    (line,) = said.err.splitlines()
    assert said.code == 2
    assert ":" in line.split("book.yaml")[1]
    assert "'models/lm' is both a hub id and a folder next to the manifest; write `./models/lm` for the folder" in line
    rendered.write(TEXT, render={"model": "nowhere", "codec": "./codec"})
    assert "'nowhere' is not a model; write `demo`" in cli("plan", rendered.path).err


# --- GGUF files ------------------------------------------------------------------------------------------------------


@pytest.fixture
def gguf(rendered: TinyBook, unread_gguf: None) -> TinyBook:
    """The book after a switch to ./maya1.gguf, which was rendered with ./lm before."""
    write_gguf(rendered.folder / "maya1.gguf", b"GGUF weights")
    rendered.write(TEXT, render={"model": "./maya1.gguf", "codec": "./codec"})
    return rendered


def test_takes_of_a_folder_and_of_a_gguf_file_are_never_mixed(
    gguf: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    before, spoken = takes(gguf), len(fake_engine.texts)
    refused(
        cli("render", gguf.path), rendered_with(gguf.output, "./lm,float32,none,framed", "./maya1.gguf;"), "--switch-"
    )
    assert takes(gguf) == before
    assert cli("render", gguf.path, "--switch-model-config").code == 0
    assert len(fake_engine.texts) == 2 * spoken  # the same number format, quantization and decoding: other takes
    assert before.items() < takes(gguf).items()
    assert len(takes(gguf)) == 2 * len(before)
    out = cli("status", gguf.path).out
    assert "rendered with ./maya1.gguf,float32,none,framed; before with ./lm,float32,none,framed" in out
    refused(cli("render", gguf.path, "--model", "lm"), "--switch-model-config")
    assert cli("render", gguf.path, "--model", "lm", "--switch-model-config").code == 0
    assert len(fake_engine.texts) == 2 * spoken
    assert "nothing to remove" in cli("clean", gguf.path, "--yes", "--model", "lm").out


def test_a_gguf_file_that_was_changed_is_refused_until_it_is_switched_to(gguf: TinyBook, cli: Cli) -> None:
    assert cli("render", gguf.path, "--switch-model-config").code == 0
    before = takes(gguf)
    write_gguf(gguf.folder / "maya1.gguf", b"GGUF WEIGHTS")
    said = cli("clean", gguf.path, "--yes")
    assert "model ./maya1.gguf that the book uses is not on this machine; no takes are listed" in said.err
    gguf.write(TEXT | {"Three": ["It was late."]}, render={"model": "./maya1.gguf", "codec": "./codec"})
    said = cli("render", gguf.path)
    assert said.code == 5
    assert "has changed since this book was started; restore the old files, or add" in said.err.splitlines()[-1]
    assert takes(gguf) == before
    assert cli("render", gguf.path, "--switch-model-config").code == 0
    assert len(takes(gguf)) == len(before) + 4


@pytest.mark.parametrize("name", ["models/maya1.gguf", "maya1.Q4_K_M.gguf", "models/maya1.Q4_K_M.gguf"])
@pytest.mark.parametrize("copied", [False, True], ids=["moved", "copied"])
def test_a_gguf_file_that_was_moved_or_renamed_is_known(
    copied: bool, name: str, gguf: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    assert cli("render", gguf.path, "--switch-model-config").code == 0
    spoken, old, new = len(fake_engine.texts), gguf.folder / "maya1.gguf", gguf.folder / name
    new.parent.mkdir(exist_ok=True)
    if copied:
        shutil.copyfile(old, new)  # with another time
        old.unlink()
    else:
        old.rename(new)
    gguf.write(TEXT, render={"model": name, "codec": "./codec"})
    for command in ("render", "status", "assemble"):
        said = cli(command, gguf.path)
        assert said.code == 0, said.err
    assert len(fake_engine.texts) == spoken
    assert "3 of 3 chunks rendered" in cli("status", gguf.path).out
    assert cli("redo", gguf.path, "1:1").code == 0
    assert lock(gguf)["current"] == f"./{name}"


def test_a_book_is_moved_with_its_gguf_file(
    gguf: TinyBook, fake_engine: FakeEngine, cli: Cli, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert cli("render", gguf.path, "--switch-model-config").code == 0
    home, spoken = tmp_path_factory.mktemp("moved") / "home", len(fake_engine.texts)
    gguf.folder.rename(home)
    moved = TinyBook(home)
    assert "3 of 3 chunks rendered" in cli("status", moved.path).out
    assert "nothing to do" in cli("render", moved.path).err
    assert len(fake_engine.texts) == spoken
