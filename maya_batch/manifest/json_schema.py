"""The manifest's JSON schema, which lets an editor complete keys and mark mistakes."""

from typing import Any

from maya_batch.manifest.mastering import PRESETS
from maya_batch.manifest.schema import Book

_NUMBER_WORDS = {"integer": r"^\s*[+-]?[0-9_]+(\.0*)?\s*$", "number": r"^\s*[+-]?[0-9._eE+-]+\s*$"}


def json_schema() -> dict[str, object]:
    """A schema that accepts all that the reader accepts; the reader is stricter.

    The reader accepts `title: 1984`, numbers in quotes, an empty value if there is a default, and a
    string for a voice or a format.
    """
    schema: dict[str, Any] = Book.model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        required = part.get("required", ())
        for name, value in part["properties"].items():
            part["properties"][name] = _widened(value, name not in required)
    parts = schema["$defs"]
    bare = {
        "Voice": parts["Voice"]["properties"]["description"],
        "Format": parts["Format"]["properties"]["type"],
        "Series": parts["Series"]["properties"]["name"],
        "Credits": {"enum": [True, False]},
        "Master": {"enum": ["none", *PRESETS]},
    }
    for name, text in bare.items():
        parts[name] = {"anyOf": [text, parts[name]]}
    parts["Chapter"]["anyOf"] = [{"required": ["text"]}, {"required": ["file"]}]
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


def _widened(schema: dict[str, Any], empty: bool) -> dict[str, Any]:
    """The schema, which also accepts the types that YAML may make of the value, and null if `empty`."""
    kind = schema.get("type")
    about: dict[str, Any] = {key: schema[key] for key in ("default", "description", "title") if key in schema}
    rest = {key: schema[key] for key in schema if key not in about}
    if "oneOf" in rest:  # of a union whose kinds are told apart by a function
        rest["anyOf"] = rest.pop("oneOf")
    if "anyOf" in rest:
        rest["anyOf"] = [_widened(choice, False) for choice in rest["anyOf"]]
    elif isinstance(rest.get("additionalProperties"), dict):
        rest["additionalProperties"] = _widened(rest["additionalProperties"], False)
    elif kind == "string" and "enum" not in rest:
        rest["type"] = ["string", "number", "boolean"]
    elif kind in _NUMBER_WORDS:
        rest = {"anyOf": [rest, {"type": "string", "pattern": _NUMBER_WORDS[kind]}]}
    if empty and {"type": "null"} not in rest.get("anyOf", ()):
        rest = {"anyOf": [rest, {"type": "null"}]}
    return {**about, **rest}
