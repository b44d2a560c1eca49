"""Micro-batches of patches of unlike tokens: the least padding, and features that do not know of them."""

from itertools import combinations

import pytest
import torch

from precisionflow.inference.allocation.buckets import bucketed, encoded, padding


def tokens_of(patches: int, *, highest: int = 400) -> torch.Tensor:
    return torch.randint(64, highest + 1, (patches,), generator=torch.Generator().manual_seed(0))


def least_cells(tokens: torch.Tensor, lengths: int) -> int:
    """Of all ways to cut the sorted tokens."""
    ordered = tokens.sort().values.tolist()
    ways = combinations(range(1, len(ordered)), lengths - 1)
    return min(
        sum((b - a) * ordered[b - 1] for a, b in zip((0, *cuts), (*cuts, len(ordered)), strict=True))
        for cuts in ways
    )


@pytest.mark.parametrize("lengths", [1, 2, 3, 4])
def test_no_other_cut_pads_less(lengths: int) -> None:
    tokens = tokens_of(11)
    found = bucketed(tokens, lengths=lengths)
    assert sum(len(bucket.patches) * bucket.length for bucket in found) == least_cells(tokens, lengths)
    assert len({bucket.length for bucket in found}) == lengths


def test_every_patch_is_in_one_bucket_that_it_fits_into() -> None:
    tokens = tokens_of(500)
    found = bucketed(tokens, lengths=8, most=4000)
    assert sorted(torch.cat([bucket.patches for bucket in found]).tolist()) == list(range(500))
    for bucket in found:
        assert int(tokens[bucket.patches].max()) <= bucket.length
        assert len(bucket.patches) * bucket.length <= 4000
    assert len({bucket.length for bucket in found}) == 8


def test_eight_lengths_pad_a_twelfth_where_one_pads_two_fifths() -> None:
    """Tokens spread evenly from 64 to 400: of one length 42 % is padding, of eight half a group's 42, 21 of 253."""
    tokens = tokens_of(10_000)
    shares = [padding(bucketed(tokens, lengths=lengths), tokens) for lengths in (1, 4, 8, 32)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(1 - 232 / 400, abs=0.01)
    assert shares[2] == pytest.approx(21 / 253, abs=0.005)
    assert padding(bucketed(tokens, lengths=400), tokens) == 0


def test_features_are_those_of_every_patch_by_itself() -> None:
    """Attention over the tokens of a patch, which has to leave padding out."""
    torch.manual_seed(0)
    tokens, values = tokens_of(30, highest=90), torch.randn(30, 90, 8)
    layer = torch.nn.MultiheadAttention(8, 2, batch_first=True).eval()

    def encode(given: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        mixed, _ = layer(given, given, given, key_padding_mask=~real, need_weights=False)
        return torch.where(real[..., None], mixed, 0).sum(1) / real.sum(1, keepdim=True)

    with torch.no_grad():
        found = encoded(encode, values, tokens, bucketed(tokens, lengths=3, most=400))
        alone = [
            encode(row[None, :count], torch.ones(1, count, dtype=torch.bool))
            for row, count in zip(values, tokens.tolist(), strict=True)
        ]
    torch.testing.assert_close(found, torch.cat(alone), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("tokens", "given", "said"),
    [
        ([], {"lengths": 1}, r"buckets: tokens: has the shape \(0,\)"),
        ([3, 0], {"lengths": 1}, r"buckets: tokens: at \(1,\) given 0; each .* at least 1"),
        ([3, 4], {"lengths": 0}, "buckets: lengths: given 0; give a whole number"),
        ([3, 4], {"lengths": 1, "most": 3}, "a patch of 4 tokens does not fit into 3"),
    ],
)
def test_what_cannot_be_bucketed_is_refused(tokens: list[int], given: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        bucketed(torch.tensor(tokens, dtype=torch.long), **given)
