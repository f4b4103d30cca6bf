"""The demo voice as a GGUF file computes what its checkpoint computes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from maya_batch.checkpoint.gguf_convert import FileType, convert
from maya_batch.checkpoint.locate import DEMO, find_checkpoint
from maya_batch.engine.hf_engine import HfEngine
from maya_batch.engine.llama_library import llama_library
from tests.support.llama_checkpoint import CONFIG, LlamaCheckpoint, random_weights, require_llama_cpp

PROMPT = '<description="Deep male voice"> The rain was <sigh> gone, and the river was high.'


def gguf_logits(path: Path, ids: list[int]) -> NDArray[np.float32]:
    """The logits that llama.cpp computes after each token, [tokens, vocabulary]."""
    require_llama_cpp()
    # Through the program's own loader: llama.cpp has one log callback for the process, and it must not be freed.
    library = llama_library()
    llama_cpp: Any = library.functions
    parameters = llama_cpp.llama_model_default_params()
    parameters.use_extra_bufts = library.may_rearrange_weights
    model = llama_cpp.llama_model_load_from_file(bytes(path), parameters)
    options = llama_cpp.llama_context_default_params()
    options.n_ctx, options.n_batch, options.n_threads, options.n_threads_batch = 512, 512, 1, 1
    options.type_k = options.type_v = 0  # float32
    # llama.cpp's flash attention on a CPU computes in float16: its logits are 0.03 off, and without it 0.00004.
    options.flash_attn_type = 0
    context = llama_cpp.llama_init_from_model(model, options)
    batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
    try:
        batch.n_tokens = len(ids)
        for place, token in enumerate(ids):
            batch.token[place], batch.pos[place], batch.logits[place] = token, place, 1
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
        assert llama_cpp.llama_decode(context, batch) == 0
        count = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        rows = [
            np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, place), (count,)).copy()
            for place in range(len(ids))
        ]
    finally:
        llama_cpp.llama_batch_free(batch)
        llama_cpp.llama_free(context)
        llama_cpp.llama_model_free(model)
    return np.stack(rows)


def hf_logits(model: Any, ids: list[int]) -> NDArray[np.float32]:
    with torch.inference_mode():
        logits: NDArray[np.float32] = model(input_ids=torch.tensor([ids])).logits[0].float().numpy()
    return logits


@pytest.mark.parametrize(("kind", "most"), [("f32", 1e-3), ("f16", 0.05), ("q8_0", 1.5)])
def test_the_logits_of_the_demo_voice_are_those_of_transformers(
    engine: HfEngine, demo_gguf: Path, tmp_path: Path, kind: FileType, most: float
) -> None:
    path = demo_gguf
    if kind != "f16":
        path = tmp_path / "demo.gguf"
        convert(find_checkpoint(DEMO, "model"), path, kind, lambda *done: None)
    ids = engine.layout.prompt(engine.prompts.tokenizer.encode([PROMPT])[0])
    # Some speech, too, so that the positions go further.
    ids += [engine.layout.slot_start(place % 7) + place * 37 % engine.layout.codebook_size for place in range(140)]
    ours, theirs = gguf_logits(path, ids), hf_logits(engine.model, ids)
    assert ours.shape == theirs.shape
    assert float(np.abs(ours - theirs).max()) < most
    assert float(theirs.std()) > 1  # else any logits were alike


@pytest.mark.parametrize("tied", [True, False])
def test_the_angles_of_llama3_and_a_head_of_its_own_compute_the_same(tmp_path: Path, tied: bool) -> None:
    require_llama_cpp()
    from transformers import AutoModelForCausalLM

    llama = LlamaCheckpoint(tmp_path / "voice", tied=tied)
    angles = {"factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
    llama.config |= {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", **angles}}
    llama.config |= {"architectures": ["LlamaForCausalLM"]}
    llama.weights = {name: weight * 4 for name, weight in random_weights(CONFIG, tied).items()}
    llama.write()
    path = tmp_path / "x.gguf"
    convert(find_checkpoint(str(llama.folder), "model"), path, "f32", lambda *done: None)
    model = AutoModelForCausalLM.from_pretrained(llama.folder, dtype=torch.float32, local_files_only=True)
    ids = [(place * 31) % 370 for place in range(200)]
    ours, theirs = gguf_logits(path, ids), hf_logits(model, ids)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    llama.config["rope_scaling"] = None
    plain = AutoModelForCausalLM.from_pretrained(llama.write().folder, dtype=torch.float32, local_files_only=True)
    assert float(np.abs(hf_logits(plain, ids) - theirs).max()) > 0.1  # else the angles did not matter
