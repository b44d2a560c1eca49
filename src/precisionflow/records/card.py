"""The base of every JSON file beside the tables."""

from pydantic import BaseModel, ConfigDict


class Card(BaseModel):
    """A JSON file beside the tables, or a part of one."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)
