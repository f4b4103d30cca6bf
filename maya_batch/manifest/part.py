"""The base of the parts of a manifest."""

from pydantic import BaseModel, ConfigDict, model_validator


class Part(BaseModel):
    """The base of all parts of a manifest: frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _empty_means_default(cls, data: object) -> object:
        """An optional key without a value, like `pauses:`, counts as absent."""
        if not isinstance(data, dict):
            return data
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {key: data[key] for key in data if data[key] is not None or key not in optional}
