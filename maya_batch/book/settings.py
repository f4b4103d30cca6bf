"""The settings of a run, in two separate groups; a later source overrides an earlier one.

What shapes the sound (`Sound`): defaults, the book's `render:`, flags. What belongs to the machine (`Machine`):
defaults, a file of configs/, flags.
"""

import re
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from maya_batch.checkpoint.locate import DEMO, MAYA1, SNAC_24KHZ, absolute_name
from maya_batch.engine.api import Sampling
from maya_batch.errors import Finding, ManifestError, UsageError
from maya_batch.files.builtin_files import builtin
from maya_batch.manifest import Quality, Render
from maya_batch.manifest.error_recovery import in_words
from maya_batch.manifest.one_line import is_hub_id, wrong
from maya_batch.manifest.source_text import UnreadableError, read_bytes, way_out
from maya_batch.manifest.yaml_positions import load
from maya_batch.messages.quoting import quoted

#: The longest clip in speech tokens, 42 s: with the prompt it fits into the 4,096 positions of the demo voice, and the
#: 50 words that a chunk may have fit into it at the slowest pace measured (66 tokens a word).
MAX_TOKENS = 3500

#: Old names of configurations, which crontabs may use, and the new ones.
_OTHER_NAMES = MappingProxyType({"maya1-h100": "maya1-bf16-24gb"})

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?", re.ASCII)
_WORKERS = re.compile(r"auto|[1-9]\d{0,3}", re.ASCII)
_ADDRESS = re.compile(r"([\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}", re.ASCII)


class Sound(BaseModel):
    """What shapes the sound, and how takes are judged. The defaults are the published ones of Maya1."""

    model_config = ConfigDict(frozen=True)

    model: str = MAYA1
    codec: str = SNAC_24KHZ
    chunk_words: int = 40
    temperature: float = 0.4
    top_p: float = 0.9
    repetition_penalty: float = 1.1
    max_tokens: int = MAX_TOKENS
    seed: int = 0
    attempts: int = 3
    failed: Literal["keep", "omit"] = "keep"
    quality: Quality = Quality()

    @property
    def sampling(self) -> Sampling:
        """The part that the engine samples with."""
        return Sampling(self.temperature, self.top_p, self.repetition_penalty)


#: The demo voice needs no repetition penalty and has its own codec.
_DEMO = {"codec": DEMO, "repetition_penalty": 1.0}


def _device(name: str) -> str:
    if not _DEVICE.fullmatch(name):
        raise wrong(f"cannot be {quoted(name)}", "known: auto, cpu, cuda, cuda:N")
    return name


DeviceName = Annotated[str, AfterValidator(_device)]


def _workers(number: object) -> object:
    """`auto`, or a number, which a flag gives as a text."""
    if isinstance(number, bool) or not isinstance(number, str | int) or not _WORKERS.fullmatch(str(number)):
        raise wrong(f"cannot be {quoted(str(number))}", "known: auto, or a number from 1 to 9999")
    return number if number == "auto" else int(number)


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise wrong(f"cannot be {quoted(text)}", "write it like 10.0.0.1:6379")
    return text


class Machine(BaseModel):
    """What belongs to the machine. None means: as the book was started, else chosen for the device."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Literal["auto", "hf", "gguf"] = "auto"
    device: DeviceName = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    quantization: Literal["none", "nf4", "int8", "fp8"] | None = None
    kv_cache: Literal["auto", "model", "int8"] = "auto"
    batch_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    decoding: Literal["auto", "framed", "free"] = "auto"
    verify: Literal["all", "suspects", "off"] | None = None
    recognizer: str | None = None
    recognizer_device: DeviceName = "auto"
    workers: Annotated[Literal["auto"] | int, BeforeValidator(_workers)] | None = None
    ray_address: Annotated[str, AfterValidator(_address)] | None = None


def sound_settings(render: Render, folder: Path, flags: Render) -> Sound:
    """The sound settings of a book whose manifest is in `folder`; flags override the book.

    Raises:
        UsageError: the book names a model or codec outside the manifest's folder.
    """
    book = render.model_dump(exclude_none=True)
    given = flags.model_dump(exclude_none=True)
    for kind in ("model", "codec"):
        if kind in book and book[kind] != DEMO and not is_hub_id(book[kind]):
            how = way_out(folder, book[kind])
            if how:
                raise UsageError(f"render.{kind} {book[kind]} {how}; use --{kind} for it")
            book[kind] = absolute_name(book[kind], folder)
        if kind in given:
            given[kind] = absolute_name(given[kind], Path())
    if given.get("model") == DEMO:
        book.pop("codec", None)  # the book's codec belongs to the book's model
        book.pop("repetition_penalty", None)
    chosen = {**book, **given}
    defaults = _DEMO if chosen.get("model") == DEMO else {}
    return Sound(**{**defaults, **chosen})


def machine_settings(config: str | None, flags: dict[str, object]) -> Machine:
    """The machine settings, from a file of configs/ (a name or a path) and the flags that are not None.

    Raises:
        UsageError: there is no such file, or it has mistakes (file:line:column).
    """
    values = _read_config(_config_path(config)) if config is not None else {}
    values |= {key: value for key, value in flags.items() if value is not None}
    try:
        return Machine.model_validate(values)
    except ValidationError as error:
        raise UsageError(flag_mistake(error, Machine)) from error


def flags_of(**values: object) -> Render:
    """Flags that shape the sound, checked against the manifest's bounds; a model may be any folder or .gguf file.

    Raises:
        UsageError: a value is out of bounds.
    """
    names = {key: values.pop(key) for key in ("model", "codec") if values.get(key) is not None}
    try:
        checked = Render.model_validate({key: value for key, value in values.items() if value is not None})
    except ValidationError as error:
        raise UsageError(flag_mistake(error, Render)) from error
    return checked.model_copy(update=names)


def flag_mistake(error: ValidationError, root: type[BaseModel]) -> str:
    """The line that says what is wrong with the value of a flag, a key of `root`, and how to fix it."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    what, mend = in_words(first, (name,), root)
    return what.replace(f"`{name}`", f"--{name.replace('_', '-')}") + (f"; {mend}" if mend else "")


def config_names() -> list[str]:
    """The machine configurations that come with the program."""
    return sorted(path.stem for path in builtin("configs").glob("*.yaml"))


def _config_path(config: str) -> Path:
    """The file of a configuration, given by name or path."""
    path = Path(config)
    if re.fullmatch(r"[\w.-]{1,100}", config) and not _is_there(path):
        name = config.removesuffix(".yaml")
        path = builtin("configs", f"{_OTHER_NAMES.get(name, name)}.yaml")
    if not _is_there(path):
        raise UsageError(f"--config {quoted(config)[1:-1]}: no such file, and none of {', '.join(config_names())}")
    return path


def _is_there(path: Path) -> bool:
    try:
        return path.exists() and not path.is_dir()
    except OSError:  # the name is too long
        return False


def _read_config(path: Path) -> dict[str, object]:
    """The settings in the file, checked."""
    try:
        raw = read_bytes(path)
    except UnreadableError as error:
        raise UsageError(f"--config {path} {error}") from error
    source, findings = load(raw, str(path))
    if source is not None and not findings:
        if not isinstance(source.data, dict):
            raise ManifestError([Finding(str(path), 1, 1, "it is not a mapping", "write lines like `device: cuda`")])
        given: dict[str, object] = {key: value for key, value in source.data.items() if value is not None}
        try:
            Machine.model_validate(given)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                of_key = detail["type"] == "extra_forbidden"
                place = source.key_place(detail["loc"]) if of_key else source.place(detail["loc"])
                findings.append(Finding(str(path), *place, *in_words(detail, detail["loc"], Machine)))
        else:
            return given
    raise ManifestError(findings)
