"""Turns cues into subtitles, in the formats SRT (SubRip) and WebVTT."""

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from maya_batch.book.cues import Cue
from maya_batch.book.subtitle_lines import LINE, Lines, divided, lines_of, width

# Netflix, "Timed Text Style Guide: General Requirements" and "English (USA)".
SHORTEST, LONGEST = 5 / 6, 7.0
"""Seconds that a subtitle is shown at least and at most."""
_GAP = 2 / 24
"""Seconds between two subtitles: two frames of film; a gap below `_SMALL_GAP` is closed to it."""
_SMALL_GAP = 0.5
_READ = 20
"""Characters that are read in a second."""
_INSTANT = 0.001
"""Seconds: no subtitle begins and ends in the same millisecond."""
_TIME = re.compile(r"(\d:\d\d)(:?\d*[.,]\d)")
_WORD_JOINER = "\u2060"
_TURN = "- "
"""What each line begins with where two voices share a subtitle."""


@dataclass(frozen=True)
class Subtitle:
    """What is shown at a time."""

    start: float
    end: float
    """Seconds."""
    lines: Lines
    voice: str = ""


def subtitles(cues: Iterable[Cue]) -> list[Subtitle]:
    """The subtitles of cues, which are in order and do not overlap; those without text are left out.

    A sentence that two lines cannot hold, or that is spoken for longer than a subtitle is shown, is divided; its parts
    begin in proportion to their lengths.
    """
    parts = [part for cue in cues if cue.text for part in _parts(cue)]
    if not parts:
        return []
    parts = [*_ascending(_joined(parts))]
    following = [part.start for part in parts[1:]]
    return [_timed(part, start) for part, start in zip(parts, [*following, None], strict=True)]


def srt(shown: Sequence[Subtitle]) -> str:
    """Subtitles as the text of an .srt file."""
    blocks = []
    for number, each in enumerate(shown, 1):
        lines = "\n".join(_srt_line(_unlike_a_time(line)) for line in each.lines)
        blocks.append(f"{number}\n{_clock(each.start, ',')} --> {_clock(each.end, ',')}\n{lines}\n")
    return "\n".join(blocks)


def vtt(shown: Sequence[Subtitle]) -> str:
    """Subtitles as the text of a .vtt file."""
    blocks = ["WEBVTT\n"]
    for number, each in enumerate(shown, 1):
        lines = "\n".join(html.escape(_unlike_a_time(line), quote=False) for line in each.lines)
        blocks.append(f"{number}\n{_clock(each.start, '.')} --> {_clock(each.end, '.')}\n{lines}\n")
    return "\n".join(blocks)


def shifted(shown: Iterable[Subtitle], seconds: float) -> list[Subtitle]:
    """The subtitles so many seconds later."""
    return [replace(each, start=each.start + seconds, end=each.end + seconds) for each in shown]


def _parts(cue: Cue) -> Iterator[Subtitle]:
    """A cue in the parts that are shown one after the other."""
    seconds = cue.end - cue.start
    texts = [part.strip() for part in divided(cue.text, -int(-seconds // LONGEST))]
    whole, at = sum(map(width, texts)) or 1, cue.start
    for text in texts:
        end = at + seconds * width(text) / whole
        if text and (lines := lines_of(text)) is not None:
            yield Subtitle(at, end, lines, cue.chunk.voice)
        at = end


def _joined(parts: Sequence[Subtitle]) -> list[Subtitle]:
    """The parts; one that the next one follows too soon is joined with it if both fit."""
    joined = [parts[0]]
    for part in parts[1:]:
        last = joined[-1]
        is_short = part.start - _GAP - last.start < SHORTEST
        both = _both(last, part) if is_short else None
        if both is None:
            joined.append(part)
        else:
            joined[-1] = both
    return joined


def _ascending(parts: Iterable[Subtitle]) -> Iterator[Subtitle]:
    """The parts, of which none begins when another one does: estimated times may be equal."""
    earliest = 0.0
    for part in parts:
        start = max(part.start, earliest)
        yield replace(part, start=start, end=max(part.end, start))
        earliest = start + 2 * _INSTANT


def _both(one: Subtitle, other: Subtitle) -> Subtitle | None:
    """Two subtitles as one; None if it would be too large or shown too long."""
    if other.end - one.start > LONGEST:
        return None
    if any(line.startswith(_TURN) for line in one.lines):
        return None  # it has the lines of two voices
    if one.voice == other.voice:
        lines = lines_of(" ".join([*one.lines, *other.lines]))
    else:
        lines = (_TURN + " ".join(one.lines), _TURN + " ".join(other.lines))
        if any(width(line) > LINE for line in lines):
            return None
    return None if lines is None else Subtitle(one.start, other.end, lines, other.voice)


def _timed(part: Subtitle, following: float | None) -> Subtitle:
    """A subtitle with the end that lets it be read, before the next one begins."""
    read = part.start + max(SHORTEST, sum(map(width, part.lines)) / _READ)
    end = min(max(part.end, read), part.start + LONGEST)
    if following is not None:
        latest = max(following - _GAP, (part.start + following) / 2)
        if end > latest or following - end < _SMALL_GAP:
            end = min(latest, part.start + LONGEST)
    return replace(part, end=max(end, part.start + _INSTANT))


def _unlike_a_time(line: str) -> str:
    """The line, in which players find no time: with a word joiner, which is not seen."""
    return _TIME.sub(f"\\1{_WORD_JOINER}\\2", line)


def _srt_line(line: str) -> str:
    """A line that no player takes for the beginning of a cue, or for markup; SRT has no escapes."""
    return line.replace("-->", "→").replace("<", "‹").replace(">", "›").replace("{\\", "{ \\")


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"
