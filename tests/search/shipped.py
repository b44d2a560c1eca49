"""The shipped studies, and what is said of a changed one."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from precisionflow.config.base import ConfigError
from precisionflow.search.checks.study import check_study
from precisionflow.search.study import parse_study

FOLDER = Path(__file__).parents[2] / "katib"


def study(name: str = "regression-capacity") -> dict[str, Any]:
    return dict(yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8")))


def complaint(tree: dict[str, Any]) -> str:
    """The one line of refusal."""
    with pytest.raises(ConfigError) as refused:
        check_study(parse_study(tree))
    message = str(refused.value)
    assert "\n" not in message
    return message
