"""The context of a GPU is created while PyTorch is imported, and is PyTorch's afterwards."""

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from maya_batch.engine.cuda_context import cuda_context


class Driver:
    """Says which functions were called, with the numbers among their arguments; one of them may fail."""

    def __init__(self, failing: str = "") -> None:
        self.called: list[tuple[str, int]] = []
        self._failing = failing

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> int:
            numbers = [argument for argument in arguments if isinstance(argument, int)]
            self.called.append((name, numbers[0] if numbers else 0))
            return int(name == self._failing)

        return call


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    return driver


@pytest.mark.parametrize(("device", "number"), [("auto", 0), ("cuda", 0), ("cuda:3", 3), ("cuda:x", 0)])
def test_a_context_is_created_and_given_up_when_pytorch_has_it(driver: Driver, device: str, number: int) -> None:
    with cuda_context(device):
        pass
    created = [("cuInit", 0), ("cuDeviceGet", number), ("cuDevicePrimaryCtxRetain", 0)]
    assert driver.called == [*created, ("cuDevicePrimaryCtxRelease_v2", 0)]


def test_a_processor_needs_none(driver: Driver) -> None:
    with cuda_context("cpu"):
        pass
    assert driver.called == []


@pytest.mark.parametrize("failing", ["cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain"])
def test_what_fails_is_left_to_pytorch(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    driver = Driver(failing)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    with cuda_context("auto"):
        pass
    assert driver.called[-1][0] == failing


def test_a_machine_without_the_driver_imports_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> SimpleNamespace:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with cuda_context("auto"):
        imported = True
    assert imported


def test_an_error_of_the_import_is_raised(driver: Driver) -> None:
    with pytest.raises(ImportError), cuda_context("auto"):
        raise ImportError
