"""A process that loads GGUF files with llama.cpp, one after the other: `python -m tests.support.llama_child`.

Each line of its input is a path. Its answer is `ok`, or how far llama.cpp came; a file that ends the process has none.
"""

import ctypes
import importlib
import sys
from typing import Any


def main() -> None:
    lib: Any = importlib.import_module("llama_cpp")
    silent = lib.llama_log_callback(lambda level, text, data: None)
    lib.llama_log_set(silent, ctypes.c_void_p(0))
    lib.llama_backend_init()
    print("ready", flush=True)
    for line in sys.stdin:
        print(_answer(lib, line.rstrip("\n")), flush=True)


def _answer(lib: Any, path: str) -> str:
    parameters = lib.llama_model_default_params()
    parameters.use_extra_bufts = False  # as `LlamaLibrary.may_rearrange_weights`, on all CPUs
    model = lib.llama_model_load_from_file(path.encode(), parameters)
    if not model:
        return "not loaded"
    params = lib.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch, params.n_threads = 64, 32, 32, 1
    context = lib.llama_init_from_model(model, params)
    if not context:
        lib.llama_model_free(model)
        return "no context"
    vocabulary = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
    ids = (lib.llama_token * 2)(0, vocabulary - 1)
    status = lib.llama_decode(context, lib.llama_batch_get_one(ids, 2))
    lib.llama_free(context)
    lib.llama_model_free(model)
    return "ok" if status == 0 else f"decode {status}"


if __name__ == "__main__":
    main()
