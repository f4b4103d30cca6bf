"""What the files of a model say, a folder's or a GGUF file, for the page of `maya-batch doctor --model`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maya_batch.book.settings import Machine
from maya_batch.checkpoint.gguf_config import GgufConfig, read_gguf_config
from maya_batch.checkpoint.gguf_file import GgufFile, read_gguf
from maya_batch.checkpoint.gguf_tokens import tokenizer_source
from maya_batch.checkpoint.hf_config import FILE, HfConfig, positions_of, read_hf_config
from maya_batch.checkpoint.locate import is_gguf
from maya_batch.checkpoint.token_layout import LAYOUT_FILE, LAYOUT_KEY
from maya_batch.checkpoint.weights_header import check_weights, number_formats
from maya_batch.errors import MachineError
from maya_batch.files.json_file import read_json
from maya_batch.messages.plural import plural
from maya_batch.messages.quoting import quoted

MOST_LISTED = 12
"""The most entries that a list on the page has."""


@dataclass(frozen=True)
class ModelFiles:
    """Texts for the page, without paths; `vocabulary` is the number of the model's tokens."""

    shape: str
    weights: str
    loads_as: str
    """How the model is loaded on this machine."""
    vocabulary: int
    layout: str
    """Where the token layout is from."""
    eos: tuple[str, ...]
    """The EOS that the files name, a text for each place."""
    tokenizer: str = ""
    """Where the tokenizer is from, if there are several places."""


def read_model_files(path: Path, machine: Machine) -> ModelFiles:
    """Read the files of the model at `path`, a folder or a GGUF file, and check them. No weight is read.

    Raises:
        MachineError: they are damaged, or not of a model of Llama's form.
        UsageError: the machine's settings do not fit them.
    """
    return _of_gguf(path, machine) if is_gguf(path) else _of_folder(path, machine)


def _of_folder(folder: Path, machine: Machine) -> ModelFiles:
    from maya_batch.engine.device import choose_device, choose_dtype

    config = read_hf_config(folder)
    check_weights(folder, config)
    device = choose_device(machine.device)
    scheme = config.saved or machine.quantization or "none"
    dtype = str(choose_dtype(machine.dtype, device, scheme)).removeprefix("torch.")
    saved = f"saved as {config.saved}" if config.saved else "not quantized"
    return ModelFiles(
        shape=_shape(config, positions_of(folder)),
        weights=f"{_counted(number_formats(folder))}; {saved}",
        loads_as=f"{device}, {dtype}, quantization {scheme}",
        vocabulary=config.vocabulary,
        layout=LAYOUT_FILE if (folder / LAYOUT_FILE).is_file() else f"Maya1's (there is no {LAYOUT_FILE})",
        eos=(_eos_in(folder, FILE), f"{_eos_in(folder, 'generation_config.json')} (not used)"),
    )


def _of_gguf(path: Path, machine: Machine) -> ModelFiles:
    from maya_batch.engine.gguf_loader import check_number_format

    file = read_gguf(path)
    config = read_gguf_config(file)
    check_number_format(path, config, machine.dtype, machine.quantization or "none")
    return ModelFiles(
        shape=_shape(config, positions_of(path)),
        weights=f"{_counted(Counter(tensor.type for tensor in file.tensors))}; stored as {config.file_type}",
        loads_as=_gguf_loads_as(machine, config),
        vocabulary=config.vocabulary,
        layout="in the file" if LAYOUT_KEY in file.metadata else f"Maya1's (there is no {LAYOUT_KEY} in the file)",
        eos=(_eos_of_gguf(file),),
        tokenizer=tokenizer_source(file),
    )


def _gguf_loads_as(machine: Machine, config: GgufConfig) -> str:
    """How llama.cpp loads a file. The reason why it loads none is not shown, because it may have paths in it."""
    from maya_batch.engine.compute_device import compute_device

    try:
        device = compute_device("gguf", machine.device).description
    except MachineError:
        return "it does not: `maya-batch doctor` shows what llama.cpp can use on this machine"
    return f"{device}, gguf, quantization {config.file_type}"


def _shape(config: HfConfig | GgufConfig, positions: int) -> str:
    return (
        f"{config.layers} layers of width {config.hidden}, {config.heads} heads ({config.kv_heads} of keys) of "
        f"{config.head_dim}, {config.intermediate} between gate and up, {config.vocabulary} tokens, context {positions}"
    )


def _counted(types: Counter[str]) -> str:
    return ", ".join(f"{name} ({plural(count, 'tensor')})" for name, count in types.most_common(MOST_LISTED))


def _eos_of_gguf(file: GgufFile) -> str:
    key = "tokenizer.ggml.eos_token_id"
    return f"{key} is {quoted(file.metadata[key])}" if key in file.metadata else f"there is no {key}"


def _eos_in(folder: Path, name: str) -> str:
    """The EOS ids in a JSON file of the checkpoint."""
    try:
        found = read_json(folder / name)["eos_token_id"]
    except (OSError, ValueError, TypeError, LookupError):
        return f"{name} has none"
    ids = found if isinstance(found, Sequence) and not isinstance(found, str) else [found]
    return f"{name} has {', '.join(quoted(id_) for id_ in ids[:MOST_LISTED])}"
