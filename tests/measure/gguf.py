"""How fast llama.cpp renders a model of Maya1's shape on this machine, and how well its memory is planned.

It writes random weights of Maya1's exact shape, converts them to a GGUF file, and renders a book of sequences with
drawn lengths. The whole shape takes 14 GB of disk space and of memory until it is converted; the file can be kept and
used again.

python -m tests.measure.gguf [--type q4_k_m] [--layers 28] [--hours 0.02] [--batch-size N] [--device cpu] [--file FILE]
"""

import argparse
import shutil
import tempfile
from multiprocessing import get_context
from pathlib import Path
from typing import get_args

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from maya_batch.bench.measured_run import Run, render
from maya_batch.bench.random_checkpoint import SHAPE, save_random_codec, save_random_maya
from maya_batch.bench.results import Metrics
from maya_batch.bench.workload import SENTENCES, VOICE, write_book
from maya_batch.book.settings import Machine
from maya_batch.checkpoint.gguf_convert import FileType, convert
from maya_batch.checkpoint.locate import find_checkpoint
from maya_batch.manifest import Render


def main() -> None:
    """Print the results of one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--type", choices=get_args(FileType), default="q4_k_m")
    parser.add_argument("--layers", type=int, default=SHAPE["num_hidden_layers"])
    parser.add_argument("--hours", type=float, default=0.02)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--file", type=Path, help="GGUF file to use, or to keep if it does not exist")
    parser.add_argument("--folder", type=Path, help="folder for temporary files")
    options = parser.parse_args()
    machine = Machine(engine="gguf", device=options.device, batch_size=options.batch_size, decoding="framed")
    # Each step in a process of its own: memory that an earlier one held would count as the engine's.
    processes = get_context("spawn")
    with tempfile.TemporaryDirectory(dir=options.folder) as name, processes.Pool(1, maxtasksperchild=1) as pool:
        folder = Path(name)
        file = options.file or folder / "maya1.gguf"
        if not file.exists():
            pool.apply(_write, (folder, file, options.type, options.layers))
        codec = pool.apply(save_random_codec, (folder / "codec",))
        run = pool.apply(_render, (folder, file.absolute(), codec, options.hours, machine))
    print(Metrics.of(run, {}))
    print(f"peak / planned memory           {run.peak_bytes / run.planned_bytes:10.2f}")


def _write(folder: Path, file: Path, kind: FileType, layers: int) -> None:
    model = save_random_maya(folder / "model", "cpu", layers)
    _tokenizer().save(str(model / "tokenizer" / "tokenizer.json"))  # convert takes byte-level BPE only
    converted = convert(find_checkpoint(str(model), "model"), file, kind, lambda *done: None)
    shutil.rmtree(model)
    print(f"{layers} layers as {kind}: {converted.size / 2**20:,.0f} MiB", flush=True)


def _tokenizer() -> Tokenizer:
    """A byte-level BPE with a token for most words of the book, as Llama's has for English."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=1000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([f'<description="{VOICE}">', *SENTENCES], trainer)
    return tokenizer


def _render(folder: Path, file: Path, codec: Path, hours: float, machine: Machine) -> Run:
    book = write_book(folder / "book.yaml", hours, str(file))
    flags = Render().model_copy(update={"model": str(file), "codec": str(codec)})
    return render(book, flags, machine, None, random_weights=True)


if __name__ == "__main__":
    main()
