"""Checks that need more than the schema: names must exist, paths must stay in the manifest's folder."""

import os
import unicodedata
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from maya_batch.errors import Finding
from maya_batch.manifest.error_recovery import suggestion
from maya_batch.manifest.one_line import GGUF_SUFFIX, is_hub_id
from maya_batch.manifest.schema import Book
from maya_batch.manifest.source_text import way_out
from maya_batch.manifest.yaml_positions import DataPath, YamlSource
from maya_batch.messages.quoting import quoted

LONGEST_STEM = 80
"""The longest file stem, in characters."""
_LONGEST_STEM_BYTES = 180  # a file name may have 255; a number and an ending are added to the stem
_APOSTROPHES = str.maketrans("", "", "'’‘ʼ＇")


def has_words(title: str) -> bool:
    """Whether a title has a letter or a digit; "* * *" has none, and nothing in it can be spoken."""
    return any(unicodedata.category(character)[0] in "LN" for character in title)


def file_stem(title: str) -> str:
    """A title as a file name without number and ending: "The Ferry" is "the-ferry".

    It keeps digits and letters of any script, and is empty if the title has neither.
    """
    words = unicodedata.normalize("NFC", unicodedata.normalize("NFC", title).lower())
    # Marks stay with their letters: many scripts write vowels with them.
    kept = (
        character if unicodedata.category(character)[0] in "LMN" else " " for character in words.translate(_APOSTROPHES)
    )
    stem = "-".join("".join(kept).split())
    cut = stem[:LONGEST_STEM].encode()[:_LONGEST_STEM_BYTES].decode(errors="ignore")
    if cut != stem and stem[len(cut)] != "-" and "-" in cut:
        cut = cut.rpartition("-")[0]
    return cut.strip("-") if has_words(cut) else ""


@dataclass(frozen=True)
class Checker:
    """The checks of one book; values at the `patched` paths are stand-ins and are not checked."""

    book: Book
    source: YamlSource
    file: str
    folder: Path
    """The manifest's folder, resolved."""
    patched: Set[DataPath]

    def findings(self) -> Iterator[Finding]:
        """Mistakes in names and paths; the chapters' texts are not checked."""
        yield from self._voices()
        yield from self._skipped()
        yield from self._sample()
        yield from self._paths()

    def finding(self, path: DataPath, what: str, mend: str = "") -> Finding:
        """A finding at the value at `path`."""
        return Finding(self.file, *self.source.place(path), what, mend)

    def sound(self, path: DataPath) -> bool:
        """Whether the value at `path` is the author's, not a stand-in."""
        return not any(path[:length] in self.patched for length in range(1, len(path) + 1))

    def voice_names(self) -> Sequence[str]:
        """The names of the voices as they were written, also of those with a mistake; none if there is no mapping."""
        written = self.source.data.get("voices") if isinstance(self.source.data, dict) else None
        return list(written) if isinstance(written, dict) and ("voices",) not in self.patched else []

    def _voices(self) -> Iterator[Finding]:
        written = self.voice_names()
        if not written:
            return
        known = [name for name in written if name in self.book.voices]
        used: list[tuple[DataPath, str | None]] = [(("voice",), self.book.voice)]
        used += [(("chapters", index, "voice"), chapter.voice) for index, chapter in enumerate(self.book.chapters)]
        for path, voice in used:
            if voice is not None and voice not in written:
                mend = suggestion(voice, known, "the book's voices")
                yield self.finding(path, f"unknown voice {quoted(voice)}", mend)

    def _skipped(self) -> Iterator[Finding]:
        if self.sound(("chapters",)) and all(chapter.skip is not False for chapter in self.book.chapters):
            what = "each of the chapters is skipped, so there is nothing to render"
            yield self.finding(("chapters",), what, "delete one `skip:`")

    def _sample(self) -> Iterator[Finding]:
        sample, chapters, path = self.book.sample, self.book.chapters, ("sample", "chapter")
        if sample is None or not (self.sound(path) and self.sound(("chapters",))):
            return
        if sample.chapter > len(chapters):
            what = f"the book has no chapter {sample.chapter}"
            yield self.finding(path, what, f"write a number from 1 to {len(chapters)}")
        elif chapters[sample.chapter - 1].skip is not False:
            yield self.finding(path, f"chapter {sample.chapter} is skipped", "name another one")

    def _paths(self) -> Iterator[Finding]:
        folder = self.book.output.folder
        # The folder itself may be a link: people keep audio on another drive.
        if folder is not None and not ((self.folder / folder).is_symlink() and self._inside(folder)):
            yield from self._path(("output", "folder"), folder, "--output")
        for name in ("model", "codec"):
            value = getattr(self.book.render, name)
            if value is not None and value != "demo":
                yield from self._checkpoint(("render", name), value, name)

    def _checkpoint(self, path: DataPath, value: str, kind: str) -> Iterator[Finding]:
        """A model or codec: a hub id, or a folder inside the manifest's; a model may also be a .gguf file there."""
        if value.endswith(GGUF_SUFFIX):
            if kind == "codec":
                yield self.finding(path, f"{quoted(value)} is a GGUF file, which contains no codec", "delete the line")
            else:
                yield from self._path(path, value, f"--{kind}")
            return
        there = (self.folder / value).is_dir()
        if is_hub_id(value):
            if there:
                what = f"{quoted(value)} is both a hub id and a folder next to the manifest"
                yield self.finding(path, what, f"write `./{value}` for the folder, or `{value}@main` for the hub")
        elif there or value.startswith("./"):
            yield from self._path(path, value, f"--{kind}")
        else:
            mend = "write `demo`, a hub id like `org/name`, or a path like `./models/name`"
            mend += " or `./models/name.gguf`" if kind == "model" else ""
            yield self.finding(path, f"{quoted(value)} is not a {kind}", mend)

    def _inside(self, folder: str) -> bool:
        """Whether a path has no `..`, and the folder it is in stays in the manifest's folder."""
        above = os.path.normpath(Path(folder).parent)
        return ".." not in Path(folder).parts and way_out(self.folder, above) is None

    def _path(self, path: DataPath, value: str, flag: str) -> Iterator[Finding]:
        how = way_out(self.folder, value)
        if how:
            yield self.finding(path, f"{quoted(value)} {how}", f"`{flag}` takes any path")
