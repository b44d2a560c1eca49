"""What no function of the room can take: one line that names what was given, a TypeError for a wrong kind."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from precisionflow.inference.allocation.balance import Fused
from precisionflow.inference.allocation.buckets import bucketed
from precisionflow.inference.allocation.budget import at_price, rounded, water_filling, whole
from precisionflow.inference.allocation.over_ranks import whole_over_ranks
from precisionflow.inference.allocation.patches import cut
from precisionflow.inference.allocation.planned import Change, planned
from precisionflow.inference.allocation.posterior import exact, levels, priced
from precisionflow.inference.allocation.refine import refine
from precisionflow.inference.allocation.scorers import Coupling, Salience, Summary
from precisionflow.inference.allocation.texture import image_of, texture
from precisionflow.inference.allocation.utility import Utility
from precisionflow.inference.ranks import ALONE

NONE = torch.zeros(0)
SEEN = Summary(torch.zeros(1, 2, 13), torch.zeros(1, 2, 13))
SCALAR, LISTED = Utility(torch.tensor(1.0), torch.tensor(1.0)), Utility([1.0], [1.0])  # type: ignore[arg-type]
UNLIKE = Utility(torch.ones(2), torch.ones(3))
AT = levels(grain=28)
FRAMES = torch.zeros(2, 1, 2, len(AT)).double()


def plan(cost: Any = 0.1, before: Any = None) -> Any:
    return planned(FRAMES, AT, 200, Change(cost, before))


def refined(images: int, read: Callable[[torch.Tensor], Any] = torch.Tensor.double, **given: Any) -> Any:
    return refine(read, (images, 2), **{"budget": 200, "threshold": 1.0} | given)


CASES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: whole(SCALAR, 100),
        ValueError,
        r"utility: weight: has the shape \(\); give \(\.\.\., patches\)",
    ),
    (lambda: water_filling(LISTED, 100), TypeError, "utility: weight: given a list; give a tensor"),
    (lambda: at_price(UNLIKE, 0.1), ValueError, r"utility: weight has the shape \(2,\), ratio \(3,\); give"),
    (
        lambda: whole(Utility(torch.ones(0, 2), torch.ones(0, 2)), 200),
        ValueError,
        r"utility: .* nothing; give",
    ),
    (lambda: whole_over_ranks(LISTED, 100, ALONE), TypeError, "utility: weight: given a list; give"),
    (lambda: at_price(Utility(NONE + 1, NONE), "1"), TypeError, "price: given a str; give a number"),  # type: ignore[arg-type]
    (lambda: rounded([1.0], 1), TypeError, "tokens: given a list; give"),  # type: ignore[arg-type]
    (lambda: priced(torch.zeros(2, 0), 200, NONE), ValueError, "levels: .* nothing; give"),
    (lambda: priced(torch.zeros(3), 200, AT), ValueError, r"potentials: .* give \(\.\.\., patches, levels\)"),
    (lambda: exact(FRAMES, 200, AT), ValueError, r"potentials: .* give \(patches, levels\)"),
    (lambda: plan(cost=float("inf")), ValueError, "plan: cost of a change: given inf; give a finite number"),
    (
        lambda: plan(cost=torch.ones(2)),
        TypeError,
        "plan: cost of a change: given torch.float32; give a number",
    ),
    (lambda: plan(cost=None), TypeError, "plan: cost of a change: given a NoneType; give a number"),
    (lambda: plan(before=torch.ones(1, 3).long()), ValueError, r"plan: tokens before .* give \(1, 2\)"),
    (lambda: plan(before=torch.tensor([[64.5, 90.0]])), ValueError, "plan: tokens before: .* whole numbers"),
    (lambda: refined(0), ValueError, "refine: images: given 0; give"),
    (lambda: refined(1, threshold=True), TypeError, "refine: threshold: given a bool; give a number"),
    (lambda: refined(2, lambda of: of[:1].double()), ValueError, r"refine: .* shape \(1, 2\); give \(2, 2\)"),
    (
        lambda: texture(torch.zeros(1, 3, 0, 4)),
        ValueError,
        r"images: .* \(1, 3, 0, 4\), and so nothing; give",
    ),
    (lambda: cut(torch.zeros(4, 4), 2), ValueError, r"image: .* give \(images, channels, height, width\)"),
    (lambda: image_of([[1, 2], [3]]), ValueError, "image: has rows of unlike lengths; give"),  # type: ignore[arg-type]
    (lambda: Fused(3)(torch.zeros(1, 2, 2)), ValueError, "scores: are of 2 scorers; give those of 3"),
    (
        lambda: Salience(2)(SEEN, torch.tensor([[1.0, float("nan")]])),
        ValueError,
        r"query: at \(0, 1\) given nan",
    ),
    (
        lambda: Coupling(2)(SEEN, torch.tensor([[float("inf"), 0.0]])),
        ValueError,
        r"query: at \(0, 0\) given inf",
    ),
    (
        lambda: Coupling(2)(SEEN, torch.zeros(3, 2)),
        ValueError,
        "query: given 3 for 1 images; give one for each",
    ),
    (lambda: bucketed(torch.tensor([3.5, 2.0]), lengths=2), ValueError, "buckets: tokens: .* whole numbers"),
    (lambda: bucketed([3, 2], lengths=2), TypeError, "buckets: tokens: given a list; give"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "error", "said"), CASES, ids=[said for _, _, said in CASES])
def test_what_cannot_be_taken_is_one_line(call: Callable[[], Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)
