"""The audio files of a book: where they lie in its output folder, and which of those there no chapter has any more."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maya_batch.audio.chapter_file import read_comment
from maya_batch.audio.writers import EPUB, FORMATS, STREAM, Target
from maya_batch.book.chapter_fingerprint import COMMENT_PREFIX
from maya_batch.book.chunk import Chapter
from maya_batch.book.library_layout import layout_folders
from maya_batch.book.plan import Plan
from maya_batch.files.safe_open import is_inside
from maya_batch.manifest import Format
from maya_batch.manifest.audio_formats import SUBTITLES


@dataclass(frozen=True)
class OutputFiles:
    """The audio files of a plan in its output folder."""

    plan: Plan
    folder: Path

    def targets(self, chapter: Chapter) -> list[Target]:
        """The files of a chapter, one for each format; for an M4B, the stream that becomes a part of it.

        The last one may be what an EPUB that speaks needs in addition.
        """
        return [self._target(chapter, format_) for format_ in self.formats]

    def files(self, chapter: Chapter) -> list[Path]:
        """The files of a chapter that people play, in the order of the formats; none where there is only an M4B."""
        formats = self.plan.book.output.audio
        return [self._target(chapter, format_).path for format_ in formats if not FORMATS[format_.type].of_book]

    @property
    def subtitle_suffixes(self) -> list[str]:
        """The suffixes of the book's subtitles, in the order of the formats."""
        return [format_.type for format_ in self.plan.book.output.formats if format_.type in SUBTITLES]

    def epub_target(self, chapter: Chapter) -> Target | None:
        """The file of a chapter that is the audio of an EPUB that speaks; None without such an EPUB."""
        format_ = self.plan.book.output.epub_audio
        return None if format_ is None else self._target(chapter, format_)

    @property
    def formats(self) -> list[Format]:
        """What `targets` has a file for, in its order."""
        output = self.plan.book.output
        more = output.epub_audio
        return [*output.audio, *([more] if more is not None and more not in output.audio else [])]

    def _target(self, chapter: Chapter, format_: Format) -> Target:
        if format_ not in self.plan.book.output.audio:
            path = self.epub_folder / f"{chapter.stem}.{format_.type}"
        elif FORMATS[format_.type].of_book:
            path = self.streams_folder / f"{chapter.stem}.{STREAM}"
        else:
            path = self.audio_folder / f"{chapter.stem}.{format_.type}"
        return Target(path, format_.type, format_.bitrate, format_.sample_rate, format_.mode)

    @property
    def audio_folder(self) -> Path:
        """The folder of the files that people play: the book's, or the one that its layout has below it."""
        return self.folder.joinpath(*layout_folders(self.plan.book))

    @property
    def streams_folder(self) -> Path:
        """The folder of the chapters' streams, which become an M4B."""
        return hidden_folder(self.folder) / "m4b"

    @property
    def epub_folder(self) -> Path:
        """The folder of the chapters' audio that only an EPUB needs."""
        return hidden_folder(self.folder) / "epub"

    def stale_files(self, earlier: Sequence[Path] = ()) -> list[Path]:
        """The audio files of this program in the folder that no chapter of the book as it is now has.

        `earlier` are folders that the book's audio was in before.
        """
        expected = {target.path for chapter in self.plan.chapters for target in self.targets(chapter)}
        found = self._audio_files([*self.written_folders, *earlier])
        return sorted(path for path in found if path not in expected and is_chapter(path))

    def fingerprints(self) -> set[str]:
        """The fingerprints of all audio files in the folder."""
        return {fingerprint for path in self._audio_files(self.written_folders) if (fingerprint := read_comment(path))}

    def _audio_files(self, folders: Iterable[Path]) -> Iterator[Path]:
        """All files in these folders that have the suffix of a format with a fingerprint."""
        for folder in folders:
            if folder.is_dir():
                yield from (path for path in folder.iterdir() if path.suffix[1:] in (*FORMATS, STREAM, EPUB))

    @property
    def written_folders(self) -> list[Path]:
        """The folders that have the book's files, each once; none behind a link, where another book's files may be."""
        folders = dict.fromkeys((self.folder, self.audio_folder, self.streams_folder, self.epub_folder))
        return [folder for folder in folders if is_inside(folder, self.folder)]


def is_chapter(path: Path) -> bool:
    """Whether this is a whole chapter file of this program."""
    return (read_comment(path) or "").startswith(COMMENT_PREFIX)


def hidden_folder(folder: Path) -> Path:
    """The folder of a book's takes, model.lock and log, inside its output folder."""
    return folder / ".maya"
