"""Finds a model or codec on this machine, checks that it is complete, and identifies it.

Rendering downloads nothing: a name is resolved to a folder or a .gguf file on this disk, or to an error that says how
to get it.
"""

import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Literal

from maya_batch.errors import MachineError, UsageError
from maya_batch.files.builtin_files import builtin
from maya_batch.files.json_file import read_json
from maya_batch.manifest.one_line import GGUF_SUFFIX, HUB_ID
from maya_batch.messages.suggestions import listed

DEMO = "demo"
MAYA1 = "maya-research/maya1"
SNAC_24KHZ = "hubertsiuzdak/snac_24khz"
MAYA1_GGUF = "mradermacher/maya1-GGUF"
"""A repository of Maya1 as GGUF files of several types."""

#: The sizes of the two repositories.
_SIZES = {MAYA1: "6.2 GiB", SNAC_24KHZ: "80 MB"}

#: The largest index, in bytes; Maya1's takes 30 KB.
_MOST_INDEX = 16_000_000

_COMMIT = re.compile(r"[0-9a-f]{40}")

Kind = Literal["model", "codec"]

#: The files that identify a checkpoint; other files in the folder may change freely.
_IDENTIFYING = {
    "model": (
        "config.json",
        "maya_tokens.json",
        "*.safetensors",
        "*.safetensors.index.json",
        "special_tokens_map.json",
        "tokenizer*",
        "tokenizer/*",
    ),
    "codec": ("config.json", "pytorch_model.bin"),
}


@dataclass(frozen=True)
class Checkpoint:
    """A model or codec on this disk.

    `path` is its folder, or the file of a GGUF model. `revision` is the commit if it is in the hub's cache, else None.
    """

    name: str
    kind: Kind
    path: Path
    revision: str | None = None

    def files(self) -> list[Path]:
        """The files that identify it, sorted."""
        if is_gguf(self.path):
            return [self.path]
        found = {path for pattern in _IDENTIFYING[self.kind] for path in self.path.glob(pattern) if path.is_file()}
        return sorted(found)

    def stamps(self) -> dict[str, list[int]]:
        """Size in bytes and modification time in ns of each file: they show whether a file was changed."""
        stats = ((path, path.stat()) for path in self.files())
        return {self._inner_name(path): [stat.st_size, stat.st_mtime_ns] for path, stat in stats}

    def identity(self) -> str:
        """Its identity: the hub's commit, or a digest over the names and bytes of its files.

        That of a GGUF file is the digest of its bytes, wherever it is and whatever it is called.
        """
        if self.revision is not None:
            return f"hub:{self.name.partition('@')[0]}@{self.revision}"
        if is_gguf(self.path):
            return f"sha256:{_digest(self.path)}"
        stats = ((path, path.stat()) for path in self.files())
        files = ((path, self._inner_name(path), stat.st_size, stat.st_mtime_ns) for path, stat in stats)
        return f"sha256:{_digest_of_all(tuple(files))}"

    def _inner_name(self, path: Path) -> str:
        """The path of one of its files in its folder; the name of a GGUF file."""
        return path.name if path == self.path else str(path.relative_to(self.path))


def _digest(path: Path) -> str:
    """A file's sha256; one that did not change since is not read again, for the next of many books."""
    found = path.stat()
    return _digest_of(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest_of_all(files: tuple[tuple[Path, str, int, int], ...]) -> str:
    """That of a folder: over the names and digests of its files, whose sizes and times are here, too."""
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(_digest, [path for path, *_ in files]))
    total = hashlib.sha256()
    for (_, name, *_), digest in zip(files, digests, strict=True):
        total.update(f"{name} {digest}\n".encode())
    return total.hexdigest()


@lru_cache(maxsize=64)
def _digest_of(path: Path, _size: int, _mtime_ns: int) -> str:
    """The sha256 in one call: in parts, each part would wait for other threads that import or compute."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return hashlib.sha256().hexdigest()
        with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return hashlib.sha256(data).hexdigest()


def is_gguf(name: str | Path) -> bool:
    """Whether this names a GGUF file, by its suffix."""
    return str(name).endswith(GGUF_SUFFIX)


def absolute_name(name: str, base: Path) -> str:
    """The name; if it is a folder or a .gguf file relative to `base`, its absolute path.

    `demo` and hub ids are unchanged.
    """
    if is_gguf(name):
        # The file need not exist. It is not resolved: in the hub's cache it is a link to a file without the suffix.
        path = base / name
        return str(Path(os.path.realpath(path.parent)) / path.name)
    if name != DEMO and (base / name).is_dir():
        return str((base / name).resolve())
    return name


def find_checkpoint(name: str, kind: Kind, pinned: str | None = None) -> Checkpoint:
    """The checkpoint of this name: `demo`, a folder, a .gguf file, or a hub id in the cache.

    A hub id is `org/name` or `org/name@revision`.

    `pinned` is the commit that a book was started with; the cache must then hold that commit.

    Raises:
        UsageError: the name is none of these, or a repository or folder of GGUF files.
        MachineError: it is not on this machine, or incomplete; the message says how to get it.
    """
    if name == DEMO:
        folder = builtin("assets", "demo-voice", "lm" if kind == "model" else "codec")
        return _whole(Checkpoint(name, kind, folder))
    if is_gguf(name):
        return _gguf_model(name, kind)
    if Path(name).is_absolute() and Path(name).is_dir():
        return _whole(Checkpoint(name, kind, Path(name)))
    match = HUB_ID.fullmatch(name)
    if match is None or name.startswith((".", "/", "~")):
        raise UsageError(f"{kind} {name}: no such folder, and not a hub id like {MAYA1}; or use {DEMO}")
    cached = cached_snapshot(match["repo"], pinned or match["revision"] or "main")
    if cached is None and Path(name).is_file():
        raise UsageError(f"{kind} {name}: a file, where a folder or a .gguf file is needed")
    if cached is None:
        raise MachineError(_how_to_get(name, kind, pinned))
    return _whole(Checkpoint(name, kind, cached, cached.name), f"{match['repo']}@{pinned}" if pinned else name)


def cached_commit(name: str) -> str | None:
    """The commit that the cache holds for a hub id's branch; None for folders and if it is not cached."""
    match = HUB_ID.fullmatch(name)
    if match is None or Path(name).is_absolute() or is_gguf(name):
        return None
    cached = cached_snapshot(match["repo"], match["revision"] or "main")
    return cached.name if cached else None


def cached_snapshot(repo: str, revision: str) -> Path | None:
    """The snapshot of a hub repository in the local cache, in huggingface_hub's layout; None if there is none.

    Not by huggingface_hub itself: importing all of it takes a tenth of a second.
    """
    from huggingface_hub import constants

    home = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    if not _COMMIT.fullmatch(revision):
        ref = home / "refs" / revision
        if ".." in revision or not ref.is_file():
            return None
        revision = ref.read_text(encoding="utf-8").strip()
    snapshot = home / "snapshots" / revision
    return snapshot if _COMMIT.fullmatch(revision) and snapshot.is_dir() else None


def _gguf_model(name: str, kind: Kind) -> Checkpoint:
    """The checkpoint of a .gguf file, named by its absolute path; its content is not read."""
    if kind == "codec":
        raise UsageError(f"codec {name}: a GGUF file contains no codec; name a folder or a hub id like {SNAC_24KHZ}")
    path = Path(name)
    if path.is_absolute() and path.is_file():
        return Checkpoint(name, kind, path)
    if path.is_absolute() and path.exists():
        raise UsageError(f"{kind} {name}: not a regular file; rename it if it is a folder")
    raise MachineError(
        f"{kind} {name}: no such file; download one with `maya-batch fetch {MAYA1_GGUF} --file '*Q4_K_M.gguf'`, or "
        "make one with `maya-batch convert`"
    )


def _whole(checkpoint: Checkpoint, fetched: str | None = None) -> Checkpoint:
    """The checkpoint, after a check that its configuration and all of its weight files are there.

    `fetched` is the name to fetch it by, None if it is not from the hub.
    """
    folder, missing = checkpoint.path, []
    needed = ["config.json"] if checkpoint.kind == "model" else ["config.json", "pytorch_model.bin"]
    if checkpoint.kind == "model":
        index = folder / "model.safetensors.index.json"
        if index.is_file():
            try:
                shards = sorted(set(read_json(index, _MOST_INDEX)["weight_map"].values()))
                # Only plain names: a file elsewhere would be loaded, but is not part of the identity.
                if any(Path(name).name != name or not name.endswith(".safetensors") for name in shards):
                    raise ValueError(index)
                needed += shards
            except (OSError, ValueError, LookupError, AttributeError, TypeError):
                missing.append(f"a readable {index.name}")
        elif not any(path.is_file() for path in folder.glob("*.safetensors")):
            _refuse_gguf_only(checkpoint)
            missing.append("*.safetensors")
    missing += [name for name in needed if not (folder / name).is_file()]
    if missing:
        fix = f"run `maya-batch fetch {fetched}` again" if fetched else "copy it there again"
        raise MachineError(f"{checkpoint.kind} {folder} is incomplete, it lacks {', '.join(missing)}; {fix}")
    return checkpoint


def _refuse_gguf_only(checkpoint: Checkpoint) -> None:
    """Refuse a folder without other weights than GGUF files, and name these."""
    files = sorted(path for pattern in ("*.gguf", "*/*.gguf") for path in checkpoint.path.glob(pattern))
    if files:
        raise UsageError(
            f"{checkpoint.kind} {checkpoint.name}: it has only GGUF files; name the file with --model: "
            f"{listed([str(path) for path in files])}"
        )


def _how_to_get(name: str, kind: Kind, pinned: str | None) -> str:
    """The message for a missing checkpoint, with the command that gets it."""
    repo = name.partition("@")[0]
    wanted = f"{repo}@{pinned}" if pinned else name
    size = f" ({_SIZES[repo]})" if repo in _SIZES else ""
    start = " at the revision that this book was started with" if pinned else ""
    line = f"{kind} {wanted} is not on this machine{start}; get it with `maya-batch fetch {wanted}`{size}"
    return line + (f", or try the built-in demo voice with `--model {DEMO}`" if kind == "model" else "")
