"""Every example of docs/inference.md runs, and finds what its data were drawn from."""

import re
from pathlib import Path

import pytest
import torch

DOCUMENT = Path(__file__).parents[3] / "docs" / "inference.md"
NUMBERS, MIXTURE = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def run(code):
    names = {}
    exec(code, names)
    return names


def test_mean_and_precision(capsys):
    names = run(NUMBERS)
    found = names["found"]
    assert found[names["mean"]].mean.item() == pytest.approx(3.0, abs=0.1)
    assert found[names["precision"]].mean.item() == pytest.approx(4.0, rel=0.2)
    assert capsys.readouterr().out.startswith("tensor(")


def test_mixture():
    names = run(MIXTURE)
    wanted = torch.tensor([[-5.0, 0.0], [0.0, 5.0], [5.0, 0.0]]).double()
    torch.testing.assert_close(names["found"][names["means"]].mean, wanted, rtol=0, atol=0.4)
    torch.testing.assert_close(
        names["found"][names["which"]].mean.sum(dim=0), torch.full((3,), 100.0).double(), atol=3, rtol=0
    )
