"""The cosine between two gradients, whatever their scales."""

import math

import pytest
import torch

from precisionflow.training.rules.alignment import cosine

SCALES = [10.0**power for power in (-300, -200, -160, -45, -9, -4, 0, 10, 30)]
A = torch.tensor([3.0, -4.0, 0.0, 1.0], dtype=torch.float64)
B = torch.tensor([1.0, 2.0, 2.0, 4.0], dtype=torch.float64)
EXPECTED = -1 / math.sqrt(26 * 25)


@pytest.mark.parametrize("one", SCALES)
@pytest.mark.parametrize("other", SCALES)
def test_no_scale_of_either_gradient_changes_the_cosine(one, other):
    assert cosine(one * A, other * B) == pytest.approx(EXPECTED, rel=1e-12)
    assert cosine(one * A, -other * A) == pytest.approx(-1.0, rel=1e-12)


def test_the_smallest_normal_number_has_a_direction_and_zero_has_none():
    smallest = torch.zeros(4, dtype=torch.float64)
    smallest[3] = torch.finfo(torch.float64).tiny  # below it a process may take numbers for 0
    assert cosine(smallest, B) == pytest.approx(0.8)
    assert cosine(torch.zeros_like(A), B) == cosine(B, torch.zeros_like(A)) == 0.0
