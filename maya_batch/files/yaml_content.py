"""Parses the YAML files that this program writes for itself: a run reads the same content several times."""

import copy
from functools import lru_cache
from typing import Any

import yaml


def parsed(content: bytes) -> Any:
    """What a file of this content says; the caller may change it.

    Raises:
        yaml.YAMLError, ValueError, OverflowError, RecursionError: it is not valid YAML, or nested too deep.
    """
    return copy.deepcopy(_parsed(content))


@lru_cache(maxsize=8)
def _parsed(content: bytes) -> Any:
    return yaml.safe_load(content)
