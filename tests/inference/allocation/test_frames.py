"""Allocation over frames: what is believed of the weights to come."""

import torch

from precisionflow.config.drawn_tables import MovingWeights
from precisionflow.config.tasks import VideoAllocation
from precisionflow.inference.allocation.frames import LocalLevel


def test_filter_is_the_dense_gaussian_posterior() -> None:
    layer = LocalLevel(VideoAllocation(source=MovingWeights(patches=2, frames=5)))
    with torch.no_grad():
        for parameter, value in zip(layer.parameters(), (-0.5, 0.3, 0.2, 1.0), strict=True):
            parameter.fill_(value)
    seen = torch.randn(2, 5, 4)
    found = layer.filtered(seen)
    drift, flicker, spread = (
        float(of.detach().exp()) for of in (layer.log_drift, layer.log_flicker, layer.log_spread)
    )
    time = torch.arange(5.0)
    prior = spread + drift * torch.minimum(time[:, None], time)
    covariance = prior + flicker * torch.eye(5)
    middle = float(layer.middle.detach())
    expected = torch.distributions.MultivariateNormal(torch.full((5,), middle), covariance)
    joint = expected.log_prob(seen.transpose(1, 2)).sum()
    torch.testing.assert_close(found.log_evidence.sum().detach(), joint, rtol=1e-4, atol=1e-3)
    last = middle + (seen.transpose(1, 2) - middle) @ torch.linalg.solve(covariance, prior[:, -1])
    torch.testing.assert_close(found.mean[:, -1].detach(), last, rtol=1e-4, atol=1e-4)
