from collections.abc import Iterable
from dataclasses import dataclass, field
from json import JSONDecodeError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

from maya_batch.checkpoint.fetch import RECOGNIZER_PATTERNS, fetch, fetch_gguf
from maya_batch.errors import MachineError, UsageError

TYPES = ("f16", "Q8_0", "Q4_K_M", "Q4_K_S")
REPO = "org/voice-GGUF"


@dataclass
class FakeHub:
    """A hub with one repository of these files."""

    cache: Path
    files: tuple[str, ...] = ("README.md", *(f"maya1.{kind}.gguf" for kind in TYPES))
    asked: list[tuple[str, str, str | None, Path | None]] = field(default_factory=list)
    """What was downloaded: repository, file, revision, folder."""
    offline: bool = False
    fault: Exception | None = None
    """Raised by every question."""

    def list_files(self, repo: str, *, revision: str | None = None) -> list[str]:
        if self.offline:
            raise OfflineModeIsEnabled
        if self.fault is not None:
            raise self.fault
        return list(self.files)

    def download(self, repo: str, file: str, *, revision: str | None, local_dir: Path | None) -> str:
        self.asked.append((repo, file, revision, local_dir))
        return str((local_dir or self.cache) / file)

    def snapshot(self, repo: str, *, allow_patterns: Iterable[str], **more: object) -> str:
        """Downloads what tells a repository with weights from one without."""
        if self.fault is not None:
            raise self.fault
        self.cache.mkdir(exist_ok=True)
        for name in self.files:
            if any(Path(name).match(pattern) for pattern in allow_patterns):
                (self.cache / name).touch()
        return str(self.cache)


@pytest.fixture
def fake_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub(tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.list_repo_files", fake.list_files)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", fake.download)
    monkeypatch.setattr("huggingface_hub.snapshot_download", fake.snapshot)
    return fake


def ignore(line: str) -> None:
    pass


@pytest.mark.parametrize("pattern", ["maya1.Q4_K_M.gguf", "*Q4_K_M.gguf", "*Q4_?_M*"])
def test_the_one_file_that_matches_is_downloaded(pattern: str, fake_hub: FakeHub, tmp_path: Path) -> None:
    said: list[str] = []
    assert fetch_gguf(REPO, pattern, None, said.append) == fake_hub.cache / "maya1.Q4_K_M.gguf"
    assert fetch_gguf(f"{REPO}@v1", pattern, tmp_path, ignore) == tmp_path / "voice-GGUF" / "maya1.Q4_K_M.gguf"
    assert fake_hub.asked == [
        (REPO, "maya1.Q4_K_M.gguf", None, None),
        (REPO, "maya1.Q4_K_M.gguf", "v1", tmp_path / "voice-GGUF"),
    ]
    assert said == [f"fetching maya1.Q4_K_M.gguf of {REPO} from the Hugging Face hub"]


@pytest.mark.parametrize("pattern", ["*Q5_K_M.gguf", "README.md", "*q4_k_m.gguf", ""])
def test_a_pattern_that_matches_no_gguf_file_lists_them(pattern: str, fake_hub: FakeHub) -> None:
    with pytest.raises(UsageError) as caught:
        fetch_gguf(REPO, pattern, None, ignore)
    assert str(caught.value) == (
        f"{REPO}: no GGUF file matches --file {pattern}; its GGUF files: maya1.Q4_K_M.gguf, maya1.Q4_K_S.gguf, "
        "maya1.Q8_0.gguf, maya1.f16.gguf"
    )
    assert fake_hub.asked == []


def test_a_pattern_that_matches_several_files_downloads_none(fake_hub: FakeHub) -> None:
    with pytest.raises(UsageError) as caught:
        fetch_gguf(REPO, "*Q4*", None, ignore)
    assert str(caught.value) == (
        f"{REPO}: 2 files match --file *Q4*; choose one of them: maya1.Q4_K_M.gguf, maya1.Q4_K_S.gguf"
    )
    assert fake_hub.asked == []


def test_a_repository_without_gguf_files_says_so(fake_hub: FakeHub) -> None:
    fake_hub.files = ("config.json", "model.safetensors")
    with pytest.raises(UsageError, match="no GGUF file matches --file \\*; it has no GGUF files"):
        fetch_gguf(REPO, "*", None, ignore)


def test_a_long_list_of_files_is_cut(fake_hub: FakeHub) -> None:
    fake_hub.files = tuple(f"{number:03}.gguf" for number in range(100))
    with pytest.raises(UsageError, match=r"011\.gguf and 88 more$"):
        fetch_gguf(REPO, "*", None, ignore)


@pytest.mark.parametrize("name", ["../../x.gguf", "/x.gguf", "a/../x.gguf"])
def test_a_file_whose_name_leads_out_of_the_repository_is_not_there(name: str, fake_hub: FakeHub) -> None:
    fake_hub.files = (name, "sub/y.gguf")
    with pytest.raises(UsageError, match=r"its GGUF files: sub/y\.gguf$"):
        fetch_gguf(REPO, "*x.gguf", None, ignore)
    assert fetch_gguf(REPO, "*.gguf", None, ignore) == fake_hub.cache / "sub" / "y.gguf"


@pytest.mark.parametrize("name", ["models/maya1.gguf", "maya1", "a/b/c", "../x", "./x"])
def test_a_file_is_fetched_from_a_hub_id_only(name: str, fake_hub: FakeHub) -> None:
    with pytest.raises(UsageError, match="not a hub id like maya-research/maya1"):
        fetch_gguf(name, "*", None, ignore)


def test_a_folder_of_other_files_is_not_fetched_into(fake_hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "voice-GGUF").mkdir()
    (tmp_path / "voice-GGUF" / "mine").touch()
    with pytest.raises(UsageError, match="already exists and was not fetched"):
        fetch_gguf(REPO, "*f16*", tmp_path, ignore)
    assert fake_hub.asked == []


def test_without_a_network_no_file_is_listed(fake_hub: FakeHub) -> None:
    fake_hub.offline = True
    with pytest.raises(MachineError, match="the hub cannot be reached"):
        fetch_gguf(REPO, "*f16*", None, ignore)


@pytest.mark.parametrize(
    ("status", "said"), [(429, "429 Too Many Requests"), (503, "503 Service Unavailable"), (520, "520")]
)
@pytest.mark.parametrize("as_cause", [False, True])
def test_a_hub_that_refuses_is_one_that_is_reached(status: int, said: str, as_cause: bool, fake_hub: FakeHub) -> None:
    response: Any = SimpleNamespace(status_code=status, headers={}, request=None)
    refused = HfHubHTTPError("refused", response=response)
    fake_hub.fault = refused
    if as_cause:  # as the hub's client raises it when files are downloaded
        fake_hub.fault = LocalEntryNotFoundError("not in the cache")
        fake_hub.fault.__cause__ = refused
    with pytest.raises(MachineError) as caught:
        fetch_gguf(REPO, "*f16*", None, ignore)
    assert str(caught.value) == f"{REPO}: the hub answers {said}; run this again later"


def test_a_repository_of_gguf_files_only_is_fetched_with_file_only(fake_hub: FakeHub) -> None:
    fake_hub.files = ("README.md", "config.json", "b.gguf", "a.gguf")
    with pytest.raises(UsageError) as caught:
        fetch(REPO, None, ignore)
    assert str(caught.value) == f"{REPO}: it has only GGUF files; choose one of them with --file: a.gguf, b.gguf"


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_a_repository_with_other_weights_is_fetched_without_its_gguf_files(weights: str, fake_hub: FakeHub) -> None:
    fake_hub.files, fake_hub.offline = ("config.json", weights, "a.gguf"), True  # and is not listed
    assert fetch(REPO, None, ignore) == fake_hub.cache
    assert sorted(path.name for path in fake_hub.cache.iterdir()) == sorted(["config.json", weights])


@pytest.mark.parametrize("files", [(), ("README.md", "config.json", "pytorch_model-00001-of-00002.bin")])
def test_a_repository_without_weights_is_no_model(files: tuple[str, ...], fake_hub: FakeHub) -> None:
    fake_hub.files = files
    with pytest.raises(UsageError, match=r"it has neither \*\.safetensors nor pytorch_model\.bin"):
        fetch(REPO, None, ignore)


def test_a_whisper_model_of_another_format_is_no_recognizer(fake_hub: FakeHub) -> None:
    fake_hub.files = ("config.json", "tokenizer.json", "model.safetensors", "a.gguf")
    with pytest.raises(
        UsageError, match=r"it has no model\.bin; a recognizer is a Whisper model in CTranslate2's format"
    ):
        fetch(REPO, None, ignore, RECOGNIZER_PATTERNS)
    fake_hub.files = ("config.json", "tokenizer.json", "model.bin")
    assert fetch(REPO, None, ignore, RECOGNIZER_PATTERNS) == fake_hub.cache


@pytest.mark.parametrize(
    "fault",
    [
        JSONDecodeError("Expecting value", "<html>Log in to the network</html>", 0),
        ValueError("Invalid filename '../../x.json': cannot contain a '..' path segment."),
    ],
)
def test_an_answer_that_is_none_of_a_hub_is_one_line(fault: Exception, fake_hub: FakeHub) -> None:
    fake_hub.fault = fault
    with pytest.raises(MachineError, match=f"^{REPO}: what the hub answered cannot be used"):
        fetch(REPO, None, ignore)
    with pytest.raises(MachineError, match=f"^{REPO}: what the hub answered cannot be used"):
        fetch_gguf(REPO, "*f16*", None, ignore)
