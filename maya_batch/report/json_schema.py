"""The JSON Schema of report.json, made from the classes of `report.model` and the docstrings of their attributes."""

from typing import Any

from pydantic import TypeAdapter

from maya_batch.report.model import Report


def json_schema() -> dict[str, Any]:
    """The schema of every report.json of this version: all keys are required, no others are allowed."""
    schema = TypeAdapter(Report).json_schema(mode="serialization")
    for part in (schema, *schema["$defs"].values()):
        part["description"] = part["description"].partition("\n\nRaises:")[0]
        part["required"] = list(part["properties"])  # pydantic forgets those with defaults where a class is used twice
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
