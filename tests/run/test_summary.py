import pytest

from maya_batch.run.result import RunResult
from maya_batch.run.summary import summarize


@pytest.mark.parametrize(("in_process", "whose"), [(False, "GPU"), (True, "process")])
def test_the_peak_names_whose_memory_it_is(in_process: bool, whose: str) -> None:
    result = RunResult(chunks=1, peak_gpu_bytes=3 * 2**29, peak_in_process=in_process)
    assert f"peak {whose} memory 1.50 GiB" in summarize(result)


def test_without_a_peak_there_is_no_line_of_memory() -> None:
    assert not any("memory" in line for line in summarize(RunResult(chunks=1)))
