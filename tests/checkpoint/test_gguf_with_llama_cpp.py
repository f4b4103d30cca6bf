"""Every file that our reader takes is loaded and run by llama.cpp; a file that ends its process must be refused."""

import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maya_batch.checkpoint.gguf_config import read_gguf_config
from maya_batch.checkpoint.gguf_file import read_gguf
from maya_batch.checkpoint.gguf_types import MATRICES
from maya_batch.errors import MachineError
from tests.support.demo import ROOT
from tests.support.gguf_files import TENSORS, Gguf, Tensor, random_llama

pytestmark = pytest.mark.slow

LLAMA = random_llama(layers=2, width=32, heads=4, kv_heads=2, inner=64, count=320)
WHOLE = LLAMA.bytes()

#: Where the weights begin: most damage is done before.
DATA = len(WHOLE) - sum(tensor.size() + -tensor.size() % 32 for tensor in LLAMA.tensors.values())

#: Keys that llama.cpp reads for models of other forms, or that a Llama may lack.
OTHER_FORMS = (
    "llama.expert_count",
    "llama.expert_used_count",
    "llama.pooling_type",
    "llama.attention.causal",
    "llama.rope.scaling.type",
    "llama.rope.scaling.factor",
    "llama.embedding_length_out",
    "llama.nextn_predict_layers",
    "general.alignment",
    "split.count",
    "llama.attention.scale",
    "llama.attention.clamp_kqv",
    "llama.logit_scale",
    "llama.attention.sliding_window",
    "tokenizer.ggml.scores",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.chat_template",
    "general.quantization_version",
    "llama.rope.scaling.original_context_length",
    "llama.rope.scaling.attn_factor",
    "llama.attention.key_length_swa",
)

Draw = random.Random
NUMBERS = (0, 1, 2, 3, 7, 8, 11, 31, 64, 257, 319, 320, 321, 512, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
TEXTS = ("", "llama", "gpt2", "none", "default", "\x1b[2J", "x" * 300, "<|end|>", "yarn", "linear", "Phi-3", "a\0b")


def run_llama_cpp(paths: Sequence[Path]) -> list[str]:
    """What a process with llama.cpp answers for each file; fewer answers if one has ended the process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.llama_child"],
        input="".join(f"{path}\n" for path in paths),
        capture_output=True,
        text=True,
        cwd=ROOT,
        # Without this variable llama.cpp starts a debugger when it aborts, and waits for it.
        env={**os.environ, "GGML_NO_BACKTRACE": "1", "PYTHONPATH": str(ROOT)},
        timeout=300,
        check=False,
    )
    first, *answers = done.stdout.splitlines() or [""]
    if first != "ready":
        pytest.skip(f"llama.cpp cannot be loaded: {(done.stderr.splitlines() or ['no reason'])[-1][:200]}")
    return answers


def taken(path: Path) -> bool:
    try:
        read_gguf_config(read_gguf(path))
    except MachineError:
        return False
    return True


def check_all(folder: Path, contents: Sequence[bytes]) -> list[int]:
    """Check that llama.cpp runs every file that our reader takes; returns the numbers of those."""
    numbers = []
    for number, content in enumerate(contents):
        path = folder / f"{number}.gguf"
        path.write_bytes(content)
        if taken(path):
            numbers.append(number)
        else:
            path.unlink()
    answers = run_llama_cpp([folder / f"{number}.gguf" for number in numbers])
    wrong = {number: answer for number, answer in zip(numbers, answers, strict=False) if answer != "ok"}
    assert not wrong
    assert len(answers) == len(numbers), f"llama.cpp ended the process on {numbers[len(answers)]}.gguf"
    return numbers


# --- damage ------------------------------------------------------------------------------------------------------


def _other_key(draw: Draw) -> Gguf:
    """A key that is missing, or has another value, type or length."""
    key = draw.choice(sorted(LLAMA.metadata))
    kind, value = LLAMA.metadata[key]
    changed: Any = draw.choice(
        [
            None,
            ("u32", draw.choice(NUMBERS)),
            ("i32", draw.choice((-1, 0, 5))),
            ("u64", draw.choice(NUMBERS)),
            ("f32", draw.choice((0.0, -1.0, 1e-5, 1e30, float("nan"), float("inf")))),
            ("str", draw.choice(TEXTS)),
            ("bool", draw.random() < 0.5),
            ("[str]", [draw.choice(TEXTS) for _ in range(draw.choice((0, 1, 320)))]),
            ("[i32]", [draw.randrange(-1, 8)] * draw.choice((0, 1, 319, 320, 321))),
            (kind, _other_value(kind, value, draw)),
            (kind, _other_value(kind, value, draw)),
            (kind, _other_value(kind, value, draw)),
        ]
    )
    return LLAMA.changed({key: changed})


def _other_value(kind: str, value: Any, draw: Draw) -> Any:
    """Another value of the same type."""
    if kind == "u32":
        return draw.choice(NUMBERS)
    if kind == "f32":
        return draw.choice((0.0, 1e-9, 1.0, 5e5, float("nan"), -3.0))
    if kind == "str":
        return draw.choice(TEXTS)
    if kind == "bool":
        return not value
    at, items = draw.randrange(len(value)), list(value)
    if draw.random() < 0.5:
        items[at] = draw.choice(TEXTS) if kind == "[str]" else draw.randrange(-1, 8)
        return items
    return draw.choice((items[:at], items + items[at:], items[::-1]))


def _more_keys(draw: Draw) -> Gguf:
    """A key that llama.cpp reads for models of other forms."""
    key = draw.choice(OTHER_FORMS)
    return LLAMA.changed(
        {
            key: draw.choice(
                [
                    ("u32", draw.choice(NUMBERS)),
                    ("u16", draw.choice((0, 1, 2))),
                    ("f32", draw.choice((0.0, 0.5, -1.0, 1e30))),
                    ("bool", draw.random() < 0.5),
                    ("str", draw.choice(TEXTS)),
                    ("[f32]", [0.0] * draw.choice((0, 320))),
                ]
            )
        }
    )


def _other_tensor(draw: Draw) -> Gguf:
    """A tensor that is missing, or has another name, type, shape or place."""
    name = draw.choice(sorted(LLAMA.tensors))
    tensor = LLAMA.tensors[name]
    shape = tensor.shape
    match draw.randrange(6):
        case 0:
            return LLAMA.changed(tensors={name: None})
        case 1:
            return LLAMA.changed(tensors={name: None, f"{name}2": tensor})
        case 2:
            return LLAMA.changed(tensors={name: replace(tensor, offset=draw.choice((0, 8, 32, 2**40, 2**63)))})
        case 3:
            other = draw.choice((shape[::-1], (*shape, 1), (*shape, 2), shape[:1], (shape[0], 0), (2**40, 2**40)))
            return LLAMA.changed(tensors={name: replace(tensor, shape=other)})
        case 4:
            fits = [kind for kind, (_, values, _) in TENSORS.items() if shape[0] % values == 0]
            return LLAMA.changed(tensors={name: Tensor(shape, draw.choice(fits))})
        case _:
            return LLAMA.changed(tensors={name: replace(tensor, data=draw.randbytes(tensor.size()))})


def _bytes(draw: Draw) -> bytes:
    """Bytes of the header that are others."""
    content = bytearray(WHOLE)
    for _ in range(draw.choice((1, 1, 2, 5))):
        content[draw.randrange(DATA)] = draw.randrange(256)
    return bytes(content)


def _size(draw: Draw) -> bytes:
    """A size or a count that lies."""
    at = draw.randrange(8, DATA)
    return WHOLE[:at] + struct.pack("<Q", draw.choice((*NUMBERS, 2**40, 2**63, 2**64 - 1))) + WHOLE[at + 8 :]


_DAMAGE: Sequence[Callable[[Draw], Gguf | bytes]] = (_other_key, _other_key, _more_keys, _other_tensor, _bytes, _size)


def damaged(number: int) -> bytes:
    """The model with one thing in it changed, which depends on the number alone."""
    draw = Draw(number)
    changed = _DAMAGE[number % len(_DAMAGE)](draw)
    return changed if isinstance(changed, bytes) else changed.bytes()


# --- tests -------------------------------------------------------------------------------------------------------


def test_a_file_that_ends_anywhere_never_ends_the_process(tmp_path: Path) -> None:
    draw = Draw(0)
    ends = [draw.randrange(DATA) for _ in range(120)] + [draw.randrange(DATA, len(WHOLE)) for _ in range(80)]
    assert check_all(tmp_path, [*(WHOLE[:end] for end in ends), WHOLE]) == [200]


def test_a_damaged_file_never_ends_the_process(tmp_path: Path) -> None:
    numbers = check_all(tmp_path, [damaged(number) for number in range(600)])
    assert 60 < len(numbers) < 500  # both answers are tried


def test_llama_cpp_runs_each_type_of_matrix_that_is_taken(tmp_path: Path) -> None:
    kinds = sorted(MATRICES)
    files = [random_llama(layers=1, width=256, kv_heads=2, inner=256, count=300, type=kind).bytes() for kind in kinds]
    assert check_all(tmp_path, files) == list(range(len(kinds)))


def test_llama_cpp_runs_each_form_that_is_taken(tmp_path: Path) -> None:
    bare = LLAMA.changed({key: None for key in LLAMA.metadata if key.startswith("tokenizer.")})
    json = {"tokenizer.ggml.model": ("str", "none"), "tokenizer.huggingface.json": ("str", "{}")}
    forms = [
        LLAMA.changed(tensors={"output.weight": LLAMA.tensors["token_embd.weight"], "rope_freqs.weight": None}),
        LLAMA.changed({"llama.rope.scaling.type": ("str", "yarn"), "llama.rope.scaling.factor": ("f32", 4.0)}),
        LLAMA.changed({"tokenizer.ggml.tokens": ("[str]", [f"token {number}" for number in range(320)])}),
        LLAMA.changed({"tokenizer.ggml.merges": ("[str]", [])}),
        replace(LLAMA.changed({"general.alignment": ("u32", 4096)}), alignment=4096),
        replace(LLAMA, version=2),
        bare.changed(json),
        random_llama(layers=1, width=2, heads=1, kv_heads=1, inner=1, count=300),
        random_llama(layers=1, width=102, heads=3, kv_heads=1, inner=77, count=300, type="F32"),
    ]
    assert check_all(tmp_path, [form.bytes() for form in forms]) == list(range(len(forms)))
