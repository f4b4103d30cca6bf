"""The YAML files that this program writes for itself: a run reads the same content several times.

libyaml does it in a tenth of the time. What it refuses (bytes of a file's name that are not UTF-8) is left to the
parser in Python.
"""

import copy
from functools import lru_cache
from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

#: How deep lists and mappings may nest; libyaml's loader ends the process where thousands do.
_MOST_DEPTH = 50


def parsed(content: bytes) -> Any:
    """What a file of this content says; the caller may change it.

    Raises:
        yaml.YAMLError, ValueError, OverflowError, RecursionError: it is not valid YAML, or nested too deep.
    """
    return copy.deepcopy(_parsed(content))


def content_of(data: Any) -> bytes:
    """The content of a file that says this."""
    try:
        text: str = yaml.dump(data, Dumper=_DUMPER, sort_keys=False, allow_unicode=True)
    except UnicodeEncodeError:
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    return text.encode()


@lru_cache(maxsize=8)
def _parsed(content: bytes) -> Any:
    try:
        _check_depth(content)
        return yaml.load(content, _LOADER)
    except yaml.YAMLError:
        return yaml.safe_load(content)


def _check_depth(content: bytes) -> None:
    depth = 0
    for event in yaml.parse(content, _LOADER):  # which does not recurse
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MOST_DEPTH:
                raise ValueError(f"nested more than {_MOST_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
