"""Quantizes a GGUF file with llama.cpp, in a child process.

llama.cpp cannot be stopped, and aborts the process on some errors; a child process can be killed, and an abort in it is
an error of one line.
"""

import ctypes
import os
import re
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from maya_batch.checkpoint.gguf_writer import Progress, missing_extra, number_of
from maya_batch.errors import MachineError, first_line
from maya_batch.files.atomic_write import remove_part, sync_file

Quantized = Literal["q8_0", "q6_k", "q5_k_m", "q4_k_m"]

#: The most bytes of a tensor that llama.cpp converts at once; by default it takes 8 GiB.
_MOST_BUFFER = 2**28

#: Bytes that are appended to find out why llama.cpp could not write, since it does not say.
_PROBE = bytes(2**20)

#: llama.cpp's level of errors (ggml_log_level in ggml.h), and what it logs before each tensor.
_ERROR, _TENSOR = 4, re.compile(rb"\[ *(\d+)/ *(\d+)\]")

#: How the child process says that to its parent.
_PROGRESS = re.compile(rb"(\d{1,9})/(\d{1,9})\n")


def check_llama_cpp() -> None:
    """Raise a MachineError if llama-cpp-python is not installed."""
    if find_spec("llama_cpp") is None:
        raise missing_extra("llama-cpp-python")


def quantize(source: Path, part: Path, kind: Quantized, progress: Progress) -> None:
    """Quantize the GGUF file `source` into `part`, synced to the disk; `part` is removed if that fails.

    `progress` counts tensors.

    Raises:
        MachineError: llama.cpp does not load or fails.
        OSError: the file cannot be written.
    """
    part.unlink(missing_ok=True)
    part.open("xb").close()  # not by llama.cpp, which would follow a link
    try:
        _run(source, part, kind, progress)
        sync_file(part)
    except BaseException:
        remove_part(part)
        raise


def _run(source: Path, part: Path, kind: Quantized, progress: Progress) -> None:
    """Run this module as a program, and kill it if anything is raised meanwhile."""
    # The same modules as here, but not those of the working directory.
    env = os.environ | {
        "GGML_NO_BACKTRACE": "1",
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
    }
    command = [sys.executable, "-P", "-m", __name__, str(source), str(part), kind]
    with tempfile.TemporaryFile() as log:
        try:
            child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=env, start_new_session=True
            )
        except OSError as error:
            raise MachineError(f"llama.cpp does not start: {error}") from error
        assert child.stdout is not None  # a pipe, see above
        try:
            for line in child.stdout:
                if found := _PROGRESS.fullmatch(line):
                    progress(int(found[1]), int(found[2]))
            status = child.wait()
        finally:
            child.kill()  # does nothing if it has exited
            child.wait()
            for pipe in (child.stdin, child.stdout):
                with suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]  # both are pipes
        if status:
            with part.open("ab", buffering=0) as file:
                file.write(_PROBE)
                os.fsync(file.fileno())
            log.seek(0)
            lines = log.read().decode(errors="replace").split("\n")
            said = next((line.strip() for line in reversed(lines) if line.strip()), f"it exited with status {status}")
            raise MachineError(f"llama.cpp cannot quantize the model as {kind}: {said}")


def _quantize_here(source: str, part: str, kind: Quantized) -> int:
    """Quantize in this process; print the progress as `1/63`, and an error in one line. Return the exit code."""
    try:
        import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:  # its library is missing, or not for this machine
        print(f"llama-cpp-python does not load: {first_line(error)}", file=sys.stderr)
        return 1
    errors: list[bytes] = []

    def hear(level: int, text: bytes, _data: object) -> None:
        if level == _ERROR:
            errors.append(text)
        elif found := _TENSOR.match(text):
            print(f"{int(found[1])}/{int(found[2])}", flush=True)

    callback = llama_cpp.llama_log_callback(hear)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype = number_of(kind)
    options.nthread = len(os.sched_getaffinity(0))
    options.max_buf_size = _MOST_BUFFER
    failed = llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(part), ctypes.byref(options))
    if failed:
        print(b"".join(errors).decode(errors="replace").strip(), file=sys.stderr)
    return int(failed)


def _end_with_parent() -> None:
    """Exit when standard input ends, which this process only does if its parent was killed."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(_quantize_here(*sys.argv[1:]))  # type: ignore[arg-type]
