from pathlib import Path

import pytest

from maya_batch.book.take_choices import Choices
from maya_batch.errors import MachineError

KEY, OTHER = "ab" + "0" * 62, "cd" + "1" * 62


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "choices.yaml"


def test_a_choice_is_kept_beside_the_others(path: Path) -> None:
    choices = Choices(path)
    assert choices.get(KEY) is None
    choices.put(KEY, 2)
    choices.put(OTHER, 1)
    choices.put(KEY, 3)
    assert path.read_text() == f"{OTHER}: 1\n{KEY}: 3\n"
    for read in (choices, Choices(path)):
        assert (read.get(KEY), read.get(OTHER), read.get("ee" * 32)) == (3, 1, None)


def test_a_choice_is_taken_back(path: Path) -> None:
    choices = Choices(path)
    choices.put(KEY, None)
    assert not path.exists()
    choices.put(KEY, 2)
    choices.put(OTHER, 1)
    choices.put(KEY, None)
    assert path.read_text() == f"{OTHER}: 1\n"
    choices.put(OTHER, None)
    assert Choices(path).get(OTHER) is None


def test_what_a_person_wrote_around_it_stays(path: Path) -> None:
    path.write_text(f"# the calm one\n'{KEY}': 4   # better\n{OTHER}: 2  # slower\n")
    Choices(path).put(KEY, 1)
    assert path.read_text() == f"# the calm one\n{OTHER}: 2  # slower\n{KEY}: 1\n"


@pytest.mark.parametrize(
    "text", [f"{{{KEY}: 1, {OTHER}: 2}}", f"? {KEY}\n: 1\n? {OTHER}\n: 2\n", f"--- {{{OTHER}: 2}}\n...\n"]
)
def test_choices_in_another_way_that_yaml_has_are_kept_too(text: str, path: Path) -> None:
    path.write_text(text)
    Choices(path).put(KEY, 3)
    assert [Choices(path).get(key) for key in (KEY, OTHER)] == [3, 2]


def test_an_editor_may_mark_the_start_of_the_file(path: Path) -> None:
    for before, after in ((f"{KEY}: 4\n# mine\n", f"# mine\n{KEY}: 1\n"), ("# mine\n", f"# mine\n{KEY}: 1\n")):
        path.write_text(before, encoding="utf-8-sig")
        Choices(path).put(KEY, 1)
        assert path.read_text() == after


def test_a_choice_that_stands_already_writes_nothing(path: Path) -> None:
    path.write_text(f"{KEY}: 3")
    Choices(path).put(KEY, 3)
    assert path.read_text() == f"{KEY}: 3"


def test_a_file_changed_meanwhile_is_not_written_over(path: Path) -> None:
    choices = Choices(path)
    choices.put(KEY, 1)
    Choices(path).put(OTHER, 5)
    choices.put(KEY, 2)
    assert Choices(path).get(OTHER) == 5


def test_a_file_that_is_no_choices_is_left_alone(path: Path) -> None:
    path.write_text("- 1\n")
    with pytest.raises(MachineError, match=r"choices.yaml: not a mapping of keys to attempts .*; correct or delete it"):
        Choices(path).put(KEY, 1)
    assert path.read_text() == "- 1\n"


def test_a_folder_that_takes_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="cannot be written"):
        Choices(tmp_path / "none" / "choices.yaml").put(KEY, 1)
