"""Compares finished files with what a store asks for."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maya_batch.audio.file_sound import SILENT, FileSound
from maya_batch.audio.writers import STREAM
from maya_batch.book.store_rules import Range, Store
from maya_batch.manifest.picture_size import PictureSize

_NAMES = {"wav": "WAV", "flac": "FLAC", "mp3": "MP3", "m4a": "M4A", STREAM: "M4B"}
_LOSSLESS = {"wav", "flac"}
_HEARD = 0.05
"""Seconds by which head and tail may differ: speech begins softly."""
_SOFT = 0.05
"""dB by which a level may differ: less than a file's tags show."""
_SAMPLE = (60.0, 300.0)
"""Seconds of a retail sample (ACX, audio submission requirements)."""
#: Whole words: “Annie Potts” and “Kai Smith” are people, and so is Ai.
_DISCLOSED = re.compile(
    r"\b(?:(?i:synthe[st]\w*|digital|artificial|tts|text[- ]to[- ]speech)|AI|ai|A\.\s?I\.|a\.i\.)(?!\w)"
)


@dataclass(frozen=True)
class CheckRow:
    """One requirement: of a file, or of the book."""

    file: str
    """The file's name; "" for the book."""
    what: str
    found: str
    wanted: str
    passed: bool
    mend: str
    """How to correct it; "" if it passed."""


@dataclass(frozen=True)
class Delivery:
    """What is given to a store."""

    files: Mapping[Path, FileSound | None]
    """None: the chapter's file is missing, or older than its takes and settings."""
    cover: bool = False
    cover_size: PictureSize | None = None
    credits: bool = False
    """Whether there are opening and closing credits."""
    sample: float | None = None
    """Seconds of the sample; None: it is missing, or older than its takes and settings."""
    isbn: str = ""
    narrator: str = ""


def check_store(delivery: Delivery, store: Store) -> list[CheckRow]:
    """All requirements of a store, file by file, then those of the book."""
    rows: list[CheckRow] = []
    for path, sound in delivery.files.items():
        rows += [
            CheckRow(path.name, what, found, wanted, passed, "" if passed else mend)
            for what, found, wanted, passed, mend in _of_file(path, sound, store)
        ]
    return rows + [
        CheckRow("", what, found, wanted, passed, "" if passed else mend)
        for what, found, wanted, passed, mend in _of_book(delivery, store)
    ]


_Row = tuple[str, str, str, bool, str]


def _of_file(path: Path, sound: FileSound | None, store: Store) -> Iterator[_Row]:
    if sound is None:
        yield "file", "missing or out of date", "complete", False, "run `render`, then `check` again"
        return
    kind = path.suffix[1:]
    wanted = " or ".join(_NAMES[name] for name in store.formats)
    yield "format", _NAMES.get(kind, kind), wanted, kind in store.formats, f"add {store.formats[0]} to `output.formats`"
    if store.rms is not None:
        yield _level("RMS", sound.rms, store.rms)
    if store.true_peak is not None:
        passed = sound.true_peak <= store.true_peak + _SOFT
        yield "true peak", _db(sound.true_peak), f"up to {store.true_peak:g} dB", passed, "set `master: store`"
    if store.noise_floor is not None:
        passed = sound.noise_floor <= store.noise_floor
        mend = "make new takes of the noisy chunks with `redo`, or use another voice"
        yield "noise floor", _db(sound.noise_floor), f"up to {store.noise_floor:g} dB", passed, mend
    for what, seconds, span, key in (
        ("head", sound.head, store.head, "chapter_start"),
        ("tail", sound.tail, store.tail, "chapter_end"),
    ):
        if span is not None:
            passed = span[0] - _HEARD <= seconds <= span[1] + _HEARD
            mend = f"set `pauses.{key}` to {(span[0] + span[1]) / 2:g}"
            yield what, f"{seconds:.2f} s", f"{span[0]:g} to {span[1]:g} s", passed, mend
    if store.longest is not None:
        mend = "divide the chapter"
        yield "length", _time(sound.seconds), f"up to {_time(store.longest)}", sound.seconds <= store.longest, mend
    yield from _encoding(kind, sound, store)


def _encoding(kind: str, sound: FileSound, store: Store) -> Iterator[_Row]:
    if store.bitrate is not None and kind not in _LOSSLESS:
        mend = _more_bits(kind, sound, f"{store.bitrate // 1000}k")
        wanted = f"from {store.bitrate // 1000} kbit/s"
        yield "bitrate", f"{sound.bitrate / 1000:.0f} kbit/s", wanted, sound.bitrate >= store.bitrate * 0.99, mend
    if store.constant and kind not in _LOSSLESS:
        found = "constant" if sound.constant else "variable"
        yield "bitrate mode", found, "constant", sound.constant, "set `mode: cbr` in `output.formats`"
    if store.sampling_rate is not None:
        passed = sound.sampling_rate == store.sampling_rate
        mend = f"set `sample_rate: {store.sampling_rate}` in `output.formats`"
        yield "sample rate", f"{sound.sampling_rate} Hz", f"{store.sampling_rate} Hz", passed, mend


def _more_bits(kind: str, sound: FileSound, bitrate: str) -> str:
    """What gives a file this bitrate. AAC has no constant one, because pauses take fewer bits."""
    if kind != "mp3":
        return f"put `{{type: mp3, bitrate: {bitrate}}}` first in `output.formats`"
    mode = "" if sound.constant else " and `mode: cbr`"
    return f"set `bitrate: {bitrate}`{mode} in `output.formats`"


def _of_book(delivery: Delivery, store: Store) -> Iterator[_Row]:
    sounds = [sound for sound in delivery.files.values() if sound is not None]
    counts = sorted({sound.channels for sound in sounds})
    found = " and ".join({1: "mono", 2: "stereo"}.get(count, f"{count} channels") for count in counts) or "no file"
    alike = len(counts) <= 1 and max(counts, default=1) <= 2
    yield "channels", found, "all mono or all stereo", alike, "render the files of other programs again"
    if store.book_hours is not None:
        seconds = sum(sound.seconds for sound in sounds)
        least, most = (hours * 3600 for hours in store.book_hours)
        passed = least <= seconds <= most
        mend = "divide the book" if seconds > most else "the store takes no shorter books"
        yield "book length", _time(seconds), f"{_time(least)} to {_time(most)}", passed, mend
    if store.square_cover is not None:
        yield _cover(delivery, store.square_cover)
    if store.credits:
        mend = "set `credits` to `true`, or to texts for `opening` and `closing`"
        yield "credits", _have(delivery.credits), "opening and closing credits", delivery.credits, mend
        yield _sample(delivery.sample)
    if store.isbn:
        yield "ISBN", delivery.isbn or "none", "an ISBN", bool(delivery.isbn), "set `isbn`"
    if store.disclosed:
        named = _DISCLOSED.search(delivery.narrator) is not None
        mend = "set `narrator: synthesized voice`"
        yield "narrator", delivery.narrator or "none", "named as a synthesized voice", named, mend


def _level(what: str, level: float, span: Range) -> _Row:
    passed = span[0] - _SOFT <= level <= span[1] + _SOFT
    return what, _db(level), f"{span[0]:g} to {span[1]:g} dB", passed, "set `master: store`"


def _cover(delivery: Delivery, shortest: int) -> _Row:
    size = delivery.cover_size
    wanted = f"square, from {shortest} px, RGB" if shortest else "a cover"
    if not delivery.cover:
        return "cover", "none", wanted, False, "set `cover`"
    if not shortest:
        return "cover", "there", wanted, True, ""
    if size is None:
        return "cover", "its size is not known", wanted, False, "save it as a JPEG again"
    found = f"{size.width} x {size.height} px" + ("" if size.channels == 3 else ", not RGB")
    passed = size.width == size.height >= shortest and size.channels == 3
    return "cover", found, wanted, passed, f"use a square RGB picture of {shortest} px"


def _sample(seconds: float | None) -> _Row:
    if seconds is None:
        return "sample", "none", "1 to 5 minutes", False, "set `sample: {minutes: 3}`, then run `render`"
    passed = _SAMPLE[0] <= seconds <= _SAMPLE[1]
    mend = "set another `chapter` or `minutes` in `sample`"
    return "sample", _time(seconds), "1 to 5 minutes", passed, mend


def _have(there: bool) -> str:
    return "there" if there else "none"


def _db(level: float) -> str:
    return "digital silence" if level <= SILENT else f"{level:.1f} dB"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def table(rows: Sequence[CheckRow]) -> list[str]:
    """The rows for people: a line for each, and the mend of those that fail."""
    widths = [max((len(getattr(row, name)) for row in rows), default=0) for name in ("file", "what", "found")]
    lines = []
    for row in rows:
        cells = (f"{cell:{width}}" for cell, width in zip((row.file, row.what, row.found), widths, strict=True))
        mend = "" if row.passed else f"; {row.mend}"
        lines.append(f"{'pass' if row.passed else 'FAIL'}  {'  '.join(cells)}  {row.wanted}{mend}")
    return lines
