import io
import json
import logging
import os
import pickle
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maya_batch.book.take import StoredCodes
from maya_batch.book.take_store import Take, TakeStore, unlink_all
from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.api import Finish
from maya_batch.errors import MachineError, UsageError
from maya_batch.quality import Problem, Transcript
from maya_batch.quality.voice_pace import Limits

KEY = "ab" + "0" * 62
OTHER = "cd" + "1" * 62
CAP = Problem("cap", "no end within 5 frames")


def take(attempt: int = 1, key: str = KEY, problems: tuple[Problem, ...] = (), finish: Finish = "eos") -> Take:
    codes = np.random.default_rng(attempt).integers(0, 4096, (5, SLOTS)).astype(np.uint16)
    return Take(key, attempt, codes, 2**56 - 1, finish, problems, "hf float32 none")


def same(one: Take | None, other: Take) -> bool:
    if one is None or not np.array_equal(one.codes, other.codes):
        return False
    return replace(one, codes=other.codes) == other


def best(store: TakeStore, key: str = KEY) -> Take | None:
    return store.best_of(key, store.all(key))


@pytest.fixture
def store(tmp_path: Path) -> TakeStore:
    return TakeStore(tmp_path)


def file_of(folder: Path, attempt: int = 1, key: str = KEY) -> Path:
    return folder / "takes" / key[:2] / key / f"{attempt}.npz"


def test_a_clip_stays_with_its_codes_when_more_is_known_about_the_take(store: TakeStore) -> None:
    store.put([take()])
    store.put_clip(take(), b"mp3")
    store.put([replace(take(), examined=True, problems=(CAP,))])
    assert store.clip(take()) == b"mp3"
    store.put([take()])  # made again
    assert store.clip(take()) is None


def test_a_take_comes_back_as_it_was(store: TakeStore, tmp_path: Path) -> None:
    stored = replace(take(3, problems=(CAP, Problem("silent", "“é”")), finish="cap"), quiet=0.25)
    store.put([stored])
    read = TakeStore(tmp_path).all(KEY)
    assert len(read) == 1
    assert same(read[0], stored)
    assert np.asarray(read[0].codes).dtype == np.uint16


def test_codes_are_left_on_the_disk_until_they_are_asked_for(store: TakeStore, tmp_path: Path) -> None:
    store.put([take()])
    (light,) = store.all(KEY)
    assert isinstance(light.codes, StoredCodes)
    assert len(light.codes) == len(take().codes)
    assert same(light, take())
    store.put([replace(light, quiet=0.25)])
    assert same(best(store), replace(take(), quiet=0.25))
    store.put([replace(take(), codes=np.asarray(take().codes)[:-1])])
    frames = len(take().codes)
    with pytest.raises(MachineError, match=rf"1\.npz: .* any more \({frames - 1} frames instead of {frames}\); render"):
        np.asarray(light.codes)
    file_of(tmp_path).write_bytes(b"no take")
    with pytest.raises(MachineError, match=r"1\.npz: the take cannot be read any more .*; render again"):
        np.asarray(light.codes)


def test_a_take_of_no_frames_comes_back(store: TakeStore) -> None:
    store.put([replace(take(finish="broken"), codes=np.zeros((0, SLOTS), dtype=np.uint16))])
    (stored,) = store.all(KEY)
    assert np.asarray(stored.codes).shape == (0, SLOTS)


def test_a_take_that_nobody_listened_to_is_used_only_where_no_other_is_as_good(store: TakeStore) -> None:
    heard = [Transcript("tiny.en", "x", error, ()) for error in (0.02, 0.01)]
    takes = [take(), replace(take(attempt=2), transcript=heard[0]), replace(take(attempt=3), transcript=heard[1])]
    store.put(takes)
    assert [used.attempt for count in (1, 2, 3) if (used := store.best_of(KEY, store.all(KEY)[:count]))] == [1, 2, 3]


def test_a_choice_that_is_not_there_is_said_once(store: TakeStore, caplog: pytest.LogCaptureFixture) -> None:
    store.put([take(), take(attempt=2)])
    store.choose(KEY, 2)
    for _ in range(2):
        used = store.best_of(KEY, store.all(KEY)[:1])
        assert used is not None
        assert used.attempt == 1
    assert caplog.messages == [f"choices.yaml: chunk {KEY} has no take 2; the take with the fewest problems is used"]


def test_a_take_lies_under_its_key_and_numpy_reads_it(store: TakeStore, tmp_path: Path) -> None:
    store.put([take()])
    with np.load(file_of(tmp_path), allow_pickle=False) as arrays:
        assert sorted(arrays) == ["codes", "meta"]
        np.testing.assert_array_equal(arrays["codes"], take().codes)
        meta = json.loads(str(arrays["meta"]))
    assert meta == {
        "key": KEY,
        "attempt": 1,
        "seed": 2**56 - 1,
        "finish": "eos",
        "problems": [],
        "engine": "hf float32 none",
        "seconds": 0.0,
        "examined": False,
        "hearing": None,
        "quiet": None,
        "judged": {"pace": None, "quiet": None},
    }
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file_of(tmp_path)]


@pytest.mark.parametrize("quiet", [float("nan"), float("inf"), -1.0, "long"])
def test_a_take_whose_quiet_is_no_time_counts_as_missing(quiet: Any, store: TakeStore) -> None:
    store.put([replace(take(), quiet=quiet)])
    assert store.all(KEY) == []


def with_meta(path: Path, **changed: object) -> None:
    with np.load(path) as arrays:
        codes, meta = arrays["codes"], json.loads(str(arrays["meta"]))
    np.savez(path, codes=codes, meta=np.array(json.dumps(meta | changed)))


@pytest.mark.parametrize("judged", [Limits(), Limits(1.07, 0.0), Limits(0.0, None), None])
def test_what_a_take_was_judged_by_comes_back(judged: Limits | None, store: TakeStore) -> None:
    stored = replace(take(), examined=True, judged=judged)
    store.put([stored])
    assert same(best(store), stored)


def test_a_take_of_version_0_1_is_judged_if_it_was_examined(store: TakeStore, tmp_path: Path) -> None:
    for attempt, examined in ((1, True), (2, False)):
        store.put([replace(take(attempt), examined=examined)])
        with np.load(file_of(tmp_path, attempt)) as arrays:
            codes, meta = arrays["codes"], json.loads(str(arrays["meta"]))
        del meta["judged"]
        np.savez(file_of(tmp_path, attempt), codes=codes, meta=np.array(json.dumps(meta)))
    assert [take.judged for take in store.all(KEY)] == [None, Limits()]


@pytest.mark.parametrize(
    "judged",
    [
        {"pace": -0.1, "quiet": None},
        {"pace": None, "quiet": float("nan")},
        {"pace": float("inf"), "quiet": 0.2},
        {"pace": "1", "quiet": 0.2},
        {"pace": True, "quiet": 0.2},
        {"pace": [1.0], "quiet": 0.2},
        {"pace": 1.0},
        {},
        [],
        1.0,
        "wide",
        False,
    ],
    ids=json.dumps,
)
def test_a_take_that_was_judged_by_no_limits_counts_as_missing(
    judged: object, store: TakeStore, tmp_path: Path
) -> None:
    store.put([take()])
    with_meta(file_of(tmp_path), judged={"pace": 1.0, "quiet": 0.2, "later": "grown"})
    assert [take.judged for take in store.all(KEY)] == [Limits(1.0, 0.2)]
    with_meta(file_of(tmp_path), judged=judged)
    assert store.all(KEY) == []


def test_what_was_never_stored_is_missing(store: TakeStore) -> None:
    assert best(store) is None
    assert store.all(KEY) == []
    assert list(store.unused([])) == []


def test_a_take_cut_off_anywhere_counts_as_missing(
    store: TakeStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.put([take()])
    whole = file_of(tmp_path).read_bytes()
    caplog.set_level(logging.CRITICAL)
    for length in range(len(whole)):
        file_of(tmp_path).write_bytes(whole[:length])
        assert TakeStore(tmp_path).all(KEY) == [], length
    file_of(tmp_path).write_bytes(whole)
    assert same(best(TakeStore(tmp_path)), take())


@pytest.mark.slow
def test_a_flipped_bit_never_gives_another_take(
    store: TakeStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Some bits, as of the zip's dates, mean nothing here; wherever one does, the take is missing."""
    store.put([take()])
    whole = bytearray(file_of(tmp_path).read_bytes())
    caplog.set_level(logging.CRITICAL)
    missing = 0
    directory = whole.index(b"PK\x01\x02")
    bits = [*range(0, directory * 8, 5), *range(directory * 8, len(whole) * 8)]
    for bit in bits:
        whole[bit // 8] ^= 1 << bit % 8
        file_of(tmp_path).write_bytes(whole)
        whole[bit // 8] ^= 1 << bit % 8
        takes = TakeStore(tmp_path).all(KEY)
        assert not takes or same(takes[0], take()), bit
        missing += not takes
    assert missing > len(bits) * 0.6


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "kept.txt").write_text("kept")


def a_link(path: Path) -> None:
    """To a take that would be whole."""
    aside = path.parents[3] / "elsewhere.npz"
    path.rename(aside)
    path.symlink_to(aside)


def an_array(path: Path, name: str, content: bytes) -> None:
    """One array of a stored take replaced."""
    with zipfile.ZipFile(path) as archive:
        arrays = {entry: archive.read(entry) for entry in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in arrays:
            archive.writestr(entry, content if entry == name else arrays[entry])


def npy(array: object) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=True)
    return file.getvalue()


def npy_head(shape: str) -> bytes:
    head = f"{{'descr': '<u2', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head


def replaced(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def replace_it(path: Path) -> None:
        path.unlink()
        make(path)

    return replace_it


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not an npz"),
    "folder": replaced(a_folder),
    "fifo": replaced(os.mkfifo),
    "dangling link": replaced(lambda path: path.symlink_to("nowhere")),
    "link": a_link,
    "unreadable meta": lambda path: an_array(path, "meta.npy", npy("{")),
    "meta of another shape": lambda path: an_array(path, "meta.npy", npy("[1, 2]")),
    "deep meta": lambda path: an_array(path, "meta.npy", npy("[" * 100_000)),
    "codes of another type": lambda path: an_array(path, "codes.npy", npy(np.zeros((5, 7), dtype=np.int64))),
    "codes of another shape": lambda path: an_array(path, "codes.npy", npy(np.zeros((5, 6), dtype=np.uint16))),
    "codes without end": lambda path: an_array(path, "codes.npy", npy_head("(1099511627776, 7)")),
    "codes of absurd size": lambda path: an_array(path, "codes.npy", npy_head(f"({10**30}, 7)")),
    "zip bomb": lambda path: an_array(path, "codes.npy", npy(np.zeros((2**22, 7), dtype=np.uint16))),
    "huge file": lambda path: path.write_bytes(bytes(2**23 + 1)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_read_whole_is_missing_said_once_and_replaced(
    damage: str, store: TakeStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.put([take(1), take(2)])
    DAMAGES[damage](file_of(tmp_path))
    for _ in range(3):
        assert [read.attempt for read in store.all(KEY)] == [2]
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"{file_of(tmp_path)}: damaged take (")
    assert warnings[0].endswith("it counts as missing")
    store.put([take(1)])
    assert [read.attempt for read in store.all(KEY)] == [1, 2]
    assert same(TakeStore(tmp_path).all(KEY)[0], take(1))


def test_a_link_in_a_takes_place_is_replaced_and_what_it_leads_to_is_left_alone(
    store: TakeStore, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    store.put([take()])
    path = file_of(tmp_path)
    path.unlink()
    path.symlink_to(precious)
    path.with_name(".1.npz.part").symlink_to(precious)
    assert store.all(KEY) == []
    store.put([take()])
    assert precious.read_text() == "precious"
    assert not path.is_symlink()
    assert same(best(store), take())


def test_a_folder_in_a_takes_place_is_moved_aside_with_all_that_is_in_it(store: TakeStore, tmp_path: Path) -> None:
    file_of(tmp_path).mkdir(parents=True)
    (file_of(tmp_path) / "kept.txt").write_text("kept")
    store.put([take()])
    assert same(best(store), take())
    assert [path.read_text() for path in tmp_path.rglob("kept.txt")] == ["kept"]


def test_nothing_is_ever_unpickled(store: TakeStore, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    store.put([take()])
    trap = np.empty((5, 7), dtype=object)
    trap[:] = Trap()
    an_array(file_of(tmp_path), "codes.npy", npy(trap))
    assert store.all(KEY) == []
    assert not (tmp_path / "sprung").exists()
    file_of(tmp_path).write_bytes(pickle.dumps(Trap()))
    assert TakeStore(tmp_path).all(KEY) == []
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(("key", "attempt"), [(OTHER, 1), (KEY, 2)])
def test_a_file_under_another_name_is_not_the_take_of_that_name(
    key: str, attempt: int, store: TakeStore, tmp_path: Path
) -> None:
    store.put([take()])
    there = file_of(tmp_path, attempt, key)
    there.parent.mkdir(parents=True, exist_ok=True)
    file_of(tmp_path).rename(there)
    assert store.all(key) == []


def test_what_a_killed_run_left_half_written_is_ignored_listed_and_overwritten(
    store: TakeStore, tmp_path: Path
) -> None:
    store.put([take()])
    part = file_of(tmp_path).with_name(".1.npz.part")
    part.write_bytes(b"half")
    assert same(best(store), take())
    assert list(store.unused([KEY])) == [part]
    store.put([take()])
    assert not part.exists()
    assert list(store.unused([KEY])) == []


def test_unused_are_the_takes_of_other_keys(store: TakeStore, tmp_path: Path) -> None:
    store.put([take(1), take(2), take(1, OTHER)])
    assert list(store.unused([KEY])) == [file_of(tmp_path, 1, OTHER)]
    assert list(store.unused([KEY, OTHER])) == []
    assert list(store.unused([])) == [file_of(tmp_path, 1), file_of(tmp_path, 2), file_of(tmp_path, 1, OTHER)]


def test_removed_takes_leave_no_empty_folders(store: TakeStore, tmp_path: Path) -> None:
    store.put([take(1), take(2), take(1, OTHER)])
    size = file_of(tmp_path, 1, OTHER).stat().st_size
    assert unlink_all(list(store.unused([KEY]))) == size
    assert not file_of(tmp_path, 1, OTHER).parent.exists()
    assert [read.attempt for read in store.all(KEY)] == [1, 2]


def test_the_take_in_use_has_the_fewest_problems_and_is_the_oldest_of_equals(store: TakeStore) -> None:
    store.put([take(1, problems=(CAP,))])
    assert same(best(store), take(1, problems=(CAP,)))
    store.put([take(10), take(2), take(3, problems=(CAP, CAP))])
    assert same(best(store), take(2))
    assert [read.attempt for read in store.all(KEY)] == [1, 2, 3, 10]


def test_the_take_a_person_chose_is_used(store: TakeStore, tmp_path: Path) -> None:
    store.put([take(1), take(2), take(3, problems=(CAP,)), take(1, OTHER), take(2, OTHER)])
    (tmp_path / "choices.yaml").write_text(f"{KEY}: 3\n{OTHER}: 7\n")
    again = TakeStore(tmp_path)
    assert same(best(again), take(3, problems=(CAP,)))
    assert same(best(again, OTHER), take(1, OTHER))  # the one chosen is not there


def test_a_take_is_chosen_and_the_choice_taken_back(store: TakeStore, tmp_path: Path) -> None:
    store.put([take(1), take(2, problems=(CAP,)), take(1, OTHER), take(2, OTHER)])
    store.choose(OTHER, 2)
    store.choose(KEY, 2)
    for read in (store, TakeStore(tmp_path)):
        assert same(best(read), take(2, problems=(CAP,)))
        assert same(best(read, OTHER), take(2, OTHER))
    store.unchoose(KEY)
    assert same(best(TakeStore(tmp_path)), take(1))
    assert TakeStore(tmp_path).chosen(OTHER) == 2


@pytest.mark.parametrize(("key", "there"), [(KEY, "1"), (OTHER, "none")])
def test_a_take_that_is_not_there_is_not_chosen(key: str, there: str, store: TakeStore, tmp_path: Path) -> None:
    store.put([take(1)])
    with pytest.raises(UsageError, match=f"^chunk {key[:8]} has no take 2; there are: {there}$"):
        store.choose(key, 2)
    assert not (tmp_path / "choices.yaml").exists()


def test_no_choices_are_none(store: TakeStore, tmp_path: Path) -> None:
    store.put([take(1)])
    (tmp_path / "choices.yaml").write_text("# none yet\n")
    assert same(best(TakeStore(tmp_path)), take(1))


@pytest.mark.parametrize("content", [b"- 1", b"5", b"{a: b}", b"{a: [1]}", b"{a", b"\xff", b"a: !!python/object:x.y 1"])
def test_choices_that_are_none_are_an_error(content: bytes, store: TakeStore, tmp_path: Path) -> None:
    store.put([take(1)])
    (tmp_path / "choices.yaml").write_bytes(content)
    with pytest.raises(MachineError, match=r"choices.yaml: not a mapping of keys to attempts .*; correct or delete it"):
        best(TakeStore(tmp_path))


DISK_FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from maya_batch.errors import MachineError
from maya_batch.book.take_store import Take, TakeStore

def take(attempt, frames):
    return Take(sys.argv[2], attempt, np.ones((frames, 7), dtype=np.uint16), 1, "eos", (), "e")

store = TakeStore(Path(sys.argv[1]))
store.put([take(1, 5)])
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    store.put([take(1, 6), take(2, 5), take(3, 2000), take(4, 5)])
except MachineError as error:
    print(error)
"""


def test_a_full_disk_leaves_nothing_of_a_batch_and_what_was_there_before(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", DISK_FULL, str(tmp_path), KEY], capture_output=True, text=True, check=True
    )
    assert said.stdout == f"{tmp_path}/takes: a take cannot be stored (File too large)\n"
    assert said.stderr == ""
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["1.npz"]
    before = best(TakeStore(tmp_path))
    assert before is not None
    assert len(before.codes) == 5


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "takes").write_text("in the way")
    with pytest.raises(MachineError, match=r"takes: a take cannot be stored \(is not a folder\)"):
        TakeStore(tmp_path).put([take()])


def test_what_was_heard_of_a_take_comes_back_and_tells_equals_apart(store: TakeStore) -> None:
    heard = [
        replace(take(attempt=n), examined=True, transcript=Transcript("tiny.en", "as said", error, (1, 4)))
        for n, error in ((1, 0.2), (2, 0.1))
    ]
    store.put(heard)
    assert [found.transcript for found in store.all(KEY)] == [one.transcript for one in heard]
    assert all(found.examined for found in store.all(KEY))
    used = best(store)
    assert used is not None
    assert used.attempt == 2


def test_kept_evidence_is_read_at_once_and_is_on_the_disk_after_a_flush(store: TakeStore, tmp_path: Path) -> None:
    store.put([take()])
    store.put_clip(take(), b"mp3")
    evidence = replace(take(), examined=True, problems=(CAP,))
    store.keep(replace(evidence, problems=()))
    store.keep(evidence)
    assert same(best(store), evidence)
    assert same(best(TakeStore(tmp_path)), take())  # as a killed run leaves it
    store.flush()
    assert same(best(store), evidence)
    assert same(best(TakeStore(tmp_path)), evidence)
    assert store.clip(take()) == b"mp3"
    file_of(tmp_path).unlink()
    store.flush()  # which has nothing left to write
    assert store.all(KEY) == []


def test_codes_that_are_stored_later_have_none_of_the_kept_evidence(store: TakeStore, tmp_path: Path) -> None:
    store.put([take()])
    store.keep(replace(take(), examined=True))
    store.put([take()])
    store.flush()
    for reader in (store, TakeStore(tmp_path)):
        assert same(best(reader), take())


def test_evidence_of_many_takes_or_of_long_ago_is_written_without_a_flush(
    store: TakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written() -> list[int]:
        return [found.attempt for found in TakeStore(tmp_path).all(KEY) if found.examined]

    store.put([take(attempt) for attempt in range(1, 36)])
    for attempt in range(1, 34):
        assert written() == []
        store.keep(replace(take(attempt), examined=True))
        if written():
            break
    assert written() == list(range(1, 33))
    store.keep(replace(take(33), examined=True))
    assert len(written()) == 32
    later = time.monotonic() + 11
    monkeypatch.setattr("maya_batch.book.take_store.time.monotonic", lambda: later)
    store.keep(replace(take(34), examined=True))
    assert len(written()) == 34


def test_evidence_is_synced_before_it_takes_the_name_of_the_take(
    store: TakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut could leave an empty file in place of the codes."""
    store.put([take()])
    store.keep(replace(take(), examined=True))
    done: list[str] = []
    fsync, rename = os.fsync, Path.replace

    def synced(file: int) -> None:
        done.append("fsync")
        fsync(file)

    def renamed(part: Path, path: Path) -> Path:
        done.append("rename")
        return rename(part, path)

    monkeypatch.setattr("os.fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    store.flush()
    assert done == ["fsync", "rename"]


def test_evidence_that_cannot_be_written_is_an_error_and_leaves_the_take(
    store: TakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put([take(), take(2)])
    store.keep(replace(take(), examined=True))
    store.keep(replace(take(2), examined=True))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(MachineError, match=r"a take cannot be stored \(No space left on device\)"):
            store.flush()
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["1.npz", "2.npz"]
    assert not any(found.examined for found in TakeStore(tmp_path).all(KEY))
    store.flush()  # there is room again
    assert all(found.examined for found in TakeStore(tmp_path).all(KEY))


def test_a_folder_that_was_set_aside_is_not_listed_with_what_is_in_it(store: TakeStore, tmp_path: Path) -> None:
    file_of(tmp_path).mkdir(parents=True)
    (file_of(tmp_path) / "kept.txt").write_text("kept")
    store.put([take()])
    assert [path.name for path in store.unused([])] == ["1.npz"]
    assert [path.read_text() for path in tmp_path.rglob("kept.txt")] == ["kept"]


def test_of_many_damaged_takes_the_first_are_named(
    store: TakeStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.put([take(attempt=attempt) for attempt in range(1, 31)])
    for path in tmp_path.rglob("*.npz"):
        path.write_bytes(b"damaged")
    for _ in range(2):
        assert store.all(KEY) == []
    assert len(caplog.messages) == 21
    assert caplog.messages[-1].startswith("more takes are damaged")
