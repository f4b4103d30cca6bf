from pathlib import Path

import pytest

from maya_batch.book.settings import Machine, Sound, config_names, machine_settings, sound_settings
from maya_batch.errors import ManifestError, UsageError
from maya_batch.files.builtin_files import builtin
from maya_batch.manifest import Quality, Render
from tests.support.fakes import write_gguf, write_model


def flags(**values: object) -> Render:
    return Render().model_copy(update=values)


def test_the_defaults_are_those_published_for_maya1() -> None:
    sound = sound_settings(Render(), Path(), Render())
    assert sound == Sound()
    assert (sound.model, sound.codec) == ("maya-research/maya1", "hubertsiuzdak/snac_24khz")
    assert (sound.sampling.temperature, sound.sampling.top_p, sound.sampling.repetition_penalty) == (0.4, 0.9, 1.1)


def test_the_book_comes_before_the_defaults_and_flags_before_the_book() -> None:
    book = Render(temperature=0.5, top_p=0.8, seed=7, chunk_words=30)
    sound = sound_settings(book, Path(), flags(temperature=0.6, seed=0))
    assert sound == Sound(temperature=0.6, top_p=0.8, seed=0, chunk_words=30)


@pytest.mark.parametrize(("book", "given"), [(Render(model="demo"), flags()), (flags(), flags(model="demo"))])
def test_the_demo_voice_has_its_own_codec_and_no_penalty(book: Render, given: Render) -> None:
    assert sound_settings(book, Path(), given) == Sound(model="demo", codec="demo", repetition_penalty=1.0)


def test_what_is_said_of_the_demo_voice_in_so_many_words_holds() -> None:
    book = Render(model="demo", codec="org/codec", repetition_penalty=1.2)
    assert sound_settings(book, Path(), flags()) == Sound(model="demo", codec="org/codec", repetition_penalty=1.2)


def test_what_a_book_says_of_quality_is_laid_over_the_defaults() -> None:
    book = Render(quality=Quality(pause_seconds=3))
    assert sound_settings(Render(), Path(), flags()).quality == Quality()
    assert sound_settings(book, Path(), flags(seed=3)).quality == Quality(pause_seconds=3)


def test_another_model_instead_of_the_books_demo_voice_has_the_usual_codec() -> None:
    sound = sound_settings(Render(model="demo"), Path(), flags(model="maya-research/maya1"))
    assert sound == Sound()


def test_folders_are_named_from_where_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path / "book" / "lm")
    write_model(tmp_path / "here" / "lm")
    monkeypatch.chdir(tmp_path / "here")
    assert sound_settings(Render(model="./lm"), tmp_path / "book", flags()).model == str(tmp_path / "book" / "lm")
    assert sound_settings(Render(), tmp_path / "book", flags(model="lm")).model == str(tmp_path / "here" / "lm")


@pytest.mark.parametrize("name", ["maya1.gguf", "./maya1.gguf", "models/maya1.gguf"])
def test_gguf_files_are_named_from_where_they_were_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, here = (write_gguf(tmp_path / folder / name).parent for folder in ("book", "here"))
    monkeypatch.chdir(tmp_path / "here")
    path = str(book / "maya1.gguf")
    assert sound_settings(Render(model=name), tmp_path / "book", flags()) == Sound(model=path)
    path = str(here / "maya1.gguf")
    assert sound_settings(Render(model="demo"), tmp_path / "book", flags(model=name)) == Sound(model=path)
    assert sound_settings(Render(), tmp_path / "book", flags(model=path)) == Sound(model=path)


def test_a_gguf_file_outside_of_the_book_is_named_by_a_flag_only(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "link.gguf").symlink_to(write_gguf(tmp_path / "maya1.gguf"))
    with pytest.raises(UsageError) as caught:
        sound_settings(Render(model="./link.gguf"), tmp_path / "book", flags())
    assert str(caught.value) == (
        "render.model ./link.gguf leads out of the manifest's folder through a symbolic link; use --model for it"
    )
    link = str(tmp_path / "book" / "link.gguf")
    assert sound_settings(Render(), tmp_path / "book", flags(model=link)).model == link


def test_a_machine_that_nothing_is_said_of_chooses_for_itself() -> None:
    machine = machine_settings(None, {"engine": None, "device": None})
    assert machine == Machine()
    assert (machine.engine, machine.device, machine.dtype, machine.decoding) == ("auto", "auto", "auto", "auto")
    assert machine.quantization is None
    assert machine.batch_size is None


def test_flags_come_before_the_configuration_and_that_before_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("device: cuda:1\nbatch_size: 8\ndtype: float16\n")
    machine = machine_settings(str(path), {"batch_size": 4, "dtype": None})
    assert machine == Machine(device="cuda:1", batch_size=4, dtype="float16")


def test_keys_with_nothing_behind_them_are_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("engine:\ndevice:\ndtype:\nbatch_size:\nquantization: nf4\n")
    assert machine_settings(str(path), {}) == Machine(quantization="nf4")


def test_every_configuration_that_comes_with_the_program_loads_by_name() -> None:
    names = config_names()
    assert names == sorted(path.stem for path in builtin("configs").glob("*.yaml"))
    assert {"demo", "maya1-nf4-8gb", "maya1-bf16-24gb"} <= set(names)
    assert machine_settings("maya1-h100", {}) == machine_settings("maya1-bf16-24gb", {})  # crontabs name it
    for name in names:
        machine = machine_settings(name, {})
        assert machine == machine_settings(f"{name}.yaml", {})
        assert machine == machine_settings(str(builtin("configs", f"{name}.yaml")), {})
    assert machine_settings("demo", {}) == Machine(engine="hf", device="cpu", dtype="float32", batch_size=16)
    assert machine_settings("maya1-nf4-8gb", {}).quantization == "nf4"
    assert machine_settings("maya1-gguf-cpu", {}) == Machine(engine="gguf", device="cpu")
    assert machine_settings("maya1-gguf-4gb", {}) == Machine(engine="gguf")


def test_a_file_of_the_current_folder_comes_before_one_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").write_text("batch_size: 3\n")
    assert machine_settings("demo", {}) == Machine(batch_size=3)


@pytest.mark.parametrize("name", ["nothing", "no/such.yaml", "", "..", "../configs/demo"])
def test_an_unknown_configuration_names_the_known_ones(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        machine_settings(name, {})
    assert str(caught.value) == f"--config {name}: no such file, and none of {', '.join(config_names())}"


@pytest.mark.parametrize(
    ("content", "findings"),
    [
        (
            "device: cpu\nbatchsize: 4\n",
            ["2:1: unknown key 'batchsize'; did you mean `batch_size`? allowed here: engine"],
        ),
        ("device: cpu\nbatch_size: none\n", ["2:13: `batch_size` must be a whole number, not 'none'"]),
        ("batch_size: 0\n", ["1:13: `batch_size` must be at least 1, not 0"]),
        ("device: gpu\n", ["1:9: `device` cannot be 'gpu'; known: auto, cpu, cuda, cuda:N"]),
        (
            "dtype: fp8\nengine: vllm\n",
            ["1:8: `dtype` cannot be 'fp8'; known: auto, ", "2:9: `engine` cannot be 'vllm'; "],
        ),
        ("workers: 0\n", ["1:10: `workers` cannot be '0'; known: auto, or a number from 1 to 9999"]),
        ("workers: true\n", ["1:10: `workers` cannot be 'true'; known: auto, or a number from 1 to 9999"]),
        ("ray_address: ray://host\n", ["1:14: `ray_address` cannot be 'ray://host'; write it like 10.0.0.1:6379"]),
        ("- device\n", ["1:1: it is not a mapping; write lines like `device: cuda`"]),
        ("", ["1:1: "]),
        ("device: cpu\ndevice: cuda\n", ["2:1: "]),
        ("device: [cpu\n", ["2:1: "]),
        ("device: !!python/name:os.getcwd\n", ["1:9: "]),
    ],
)
def test_what_is_wrong_in_a_configuration_is_said_with_its_place(
    content: str, findings: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(ManifestError) as caught:
        machine_settings(str(path), {})
    lines = str(caught.value).splitlines()
    assert len(lines) == len(findings)
    for line, finding in zip(lines, findings, strict=True):
        assert line.startswith(f"{path}:{finding}")


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("engine", "vllm", "--engine cannot be 'vllm'; known: auto, hf, gguf"),
        ("device", "gpu", "--device cannot be 'gpu'; known: auto, cpu, cuda, cuda:N"),
        ("device", "cuda:x", "--device cannot be 'cuda:x'; known: "),
        ("device", "cpu\n", r"--device cannot be 'cpu\n'; known: "),
        ("dtype", "fp8", "--dtype cannot be 'fp8'; known: auto, float32, bfloat16, float16"),
        ("quantization", "q4", "--quantization cannot be 'q4'; known: none, nf4, int8"),
        ("batch_size", 0, "--batch-size must be at least 1, not 0"),
        ("batch_size", 5000, "--batch-size must be at most 4096, not 5000"),
        ("workers", "many", "--workers cannot be 'many'; known: auto, or a number from 1 to 9999"),
        ("workers", "0", "--workers cannot be '0'; known: auto, or a number from 1 to 9999"),
        ("ray_address", "here", "--ray-address cannot be 'here'; write it like 10.0.0.1:6379"),
        ("decoding", "fast", "--decoding cannot be 'fast'; known: auto, framed, free"),
    ],
)
def test_a_wrong_flag_is_named(flag: str, value: object, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        machine_settings(None, {flag: value})
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
