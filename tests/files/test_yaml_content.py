import pytest

from maya_batch.files.yaml_content import content_of, parsed


def test_what_is_changed_is_not_what_is_read_next() -> None:
    parsed(b"a: [1]")["a"].append(2)
    assert parsed(b"a: [1]") == {"a": [1]}


@pytest.mark.parametrize("content", [b"[" * 30_000, b"- " * 30_000, b"{" * 30_000, b"? " * 30_000])
def test_content_that_is_nested_deep_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match="nested more than 50 levels deep"):
        parsed(content)


@pytest.mark.parametrize("title", ["plain", "1984", "no", "ü – \U0001f600", "a\nb", "not UTF-8: \udc80", "'x' " * 40])
def test_what_is_written_is_read(title: str) -> None:
    data = {"version": 1, "title": title, "rules": [1, 2], "reports": {}, "share": 0.5}
    assert parsed(b"# a comment\n" + content_of(data)) == data
