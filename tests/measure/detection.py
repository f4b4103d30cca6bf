"""How many injected faults the checks find, by kind, and how many good takes they flag.

    python -m tests.measure.detection FOLDER TEXT [TEXT ...] [--hear tiny.en]

TEXT are plain text files, from which the demo voice speaks sentences of 10 to 45 words; its takes and their sound stay
in FOLDER (0.5 GB) and are used again. The thresholds were tuned on seeds 1, 3 and 4 and are measured on seed 5. With
`--hear`, a recognizer listens, too.
"""

import argparse
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from maya_batch.engine.api import Generation
from maya_batch.manifest import Quality
from maya_batch.quality import Problem
from maya_batch.quality.audio_checks import check_end, check_sound, quiet_end
from maya_batch.quality.code_checks import check_codes
from maya_batch.quality.hearing import SpokenTake
from maya_batch.quality.voice_pace import VoiceProfiles
from maya_batch.quality.whisper import listen, load_recognizer
from tests.support.fault_injection import RATE, SPLICED, Take, faulty_lines, good
from tests.support.good_takes import draw_lines, layout, speak

Check = Callable[[Take], list[Problem]]


def main() -> None:
    """Speak, plant, look, and print a line for each kind of fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--takes", type=int, default=300)
    parser.add_argument("--faults", type=int, default=40, help="faults of each kind")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--hear", help="the recognizer's name or folder")
    parser.add_argument("--only", nargs="+", help="kinds of faults; good takes are not looked at then")
    options = parser.parse_args()
    lines = draw_lines(options.texts, options.takes, options.seed)
    spoken = speak(options.folder, lines)
    hear = _transcriber(options.hear)
    limits = VoiceProfiles((take.line.description, take.line.key) for take in spoken)
    for each in spoken:
        limits.learn_pace(each.line.key, len(each.codes) / each.line.expected_frames)
        limits.learn_end(each.line.key, quiet_end(each.wave, RATE, each.line.text))

    def look(take: Take) -> list[Problem]:
        line, quality = take.line, Quality()
        generation = Generation(line.key, take.codes, take.finish)
        voice, quiet = limits.of(line.description), quiet_end(take.wave, RATE, line.text)
        return [
            *check_codes(generation, line.text, line.expected_frames, layout(), voice.pace, quality),
            *check_sound(take.wave, RATE, line.text, quality),
            *([] if quiet is None or voice.quiet is None else check_end(quiet, voice.quiet, quality)),
            *hear(take),
        ]

    def asked(kind: str) -> bool:
        return options.only is None or kind in options.only

    flagged = []
    for take in map(good, spoken if options.only is None else []):
        problems = look(take)
        flagged += [(take, problem) for problem in problems]
    keys = {take.line.key for take, _ in flagged}
    if options.only is None:
        print(f"{len(spoken)} good takes, {len(keys)} flagged ({len(keys) / len(spoken):.1%})")
    for take, problem in flagged:
        print(f"  {problem.kind}: {problem.detail}: {take.line.text}")
    drawn = random.Random(options.seed)
    for kind, plant in SPLICED.items():
        chosen = drawn.sample(spoken, min(options.faults, len(spoken)))
        if asked(kind):
            _report(kind, [look(plant(spoken, take, drawn)) for take in chosen])
    for kind, said in faulty_lines(lines, options.faults).items():
        if asked(kind):
            _report(kind, [look(good(take)) for take in speak(options.folder, said)])


def _transcriber(name: str | None) -> Check:
    """What a recognizer holds against a take; nothing where none is asked for."""
    if name is None:
        return lambda take: []
    recognizer = load_recognizer(name, "cpu", "en")

    def hear(take: Take) -> list[Problem]:
        [(_, problems)] = listen(recognizer, [SpokenTake(take.wave, take.line.text)], RATE, "en", Quality())
        return list(problems)

    return hear


def _report(kind: str, found: list[list[Problem]]) -> None:
    """One line: how many were found, and as what."""
    if not found:
        print(f"{kind:24} no text of the length for it")
        return
    caught = sum(bool(problems) for problems in found)
    kinds = Counter(problem.kind for problems in found for problem in problems)
    how = ", ".join(f"{name} {count}" for name, count in kinds.most_common())
    print(f"{kind:24} {caught:3} of {len(found):3}  {caught / len(found):6.1%}  {how}", flush=True)


if __name__ == "__main__":
    main()
