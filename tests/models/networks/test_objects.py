"""Networks of objects: densities by scipy, groups where colours leave no doubt, one seed one grouping."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import adjusted_rand_score

from precisionflow.config.drawn_tables import DrawnObjects
from precisionflow.config.networks import Clusters, Slots
from precisionflow.data.sources.drawn_objects import draw_objects
from precisionflow.models.networks.objects import Clustered, Explainer, Grouping, grouping, pixels_of

WAYS = ("k_means", "gaussian_mixture", "gaussian_slots")


def numbers(count: int = 4) -> torch.Tensor:
    images = draw_objects(DrawnObjects(side=8), count, np.random.default_rng(1))
    return torch.from_numpy(np.column_stack([images.groups, images.features.reshape(count, -1)])).float()


def made(config: Slots | Clusters) -> Explainer | Clustered:
    torch.manual_seed(0)
    (layer,) = grouping(config, pixels=64).layers
    assert isinstance(layer, Grouping)
    return layer


@pytest.mark.parametrize("by", WAYS)
def test_clusters_find_what_colours_tell_apart(by):
    """A grey half, a red and a blue quarter."""
    y, x = np.divmod(np.arange(64), 8)
    owner = np.where(x < 4, 0, 1 + (y < 4))
    colours = np.array([[0.5, 0.5, 0.5], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])[owner]
    noise = 0.02 * np.random.default_rng(0).standard_normal(colours.shape)
    pixels = np.column_stack([colours + noise, (y + 0.5) / 8, (x + 0.5) / 8])
    given = torch.from_numpy(np.concatenate([[3.0], pixels.ravel()])).float()[None]
    (found,) = made(Clusters(by=by)).groups(given)
    assert adjusted_rand_score(owner, found.numpy()) > 0.95


@pytest.mark.parametrize("by", [*WAYS, "dot_product_slots"])
def test_a_seed_has_one_grouping(by):
    """Of an image by itself, and in a pass of bfloat16."""
    given = numbers()
    layer = made(Clusters(by=by))
    found = layer(given)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(given), found)
    torch.testing.assert_close(layer(given[2:]), found[2:])


def test_a_pixel_of_a_cluster_is_normal_about_its_mean_colour():
    given = numbers()
    layer = made(Clusters())
    with torch.no_grad():
        layer.log_precision.fill_(np.log(25.0))
    groups, colours = layer.groups(given), pixels_of(given)[..., :3]
    for image in range(len(given)):
        for group in groups[image].unique():
            mine = groups[image] == group
            of = stats.multivariate_normal(colours[image, mine].mean(0).double().numpy(), np.eye(3) / 25)
            expected = of.logpdf(colours[image, mine].double().numpy())
            np.testing.assert_allclose(layer(given)[image, mine].detach(), expected, rtol=1e-4, atol=1e-4)


def test_a_pixel_of_slots_has_the_density_of_a_mixture():
    """exp of log p over a fine grid of colours sums to 1, whatever the weights."""
    given = numbers(1)
    layer = made(Slots(count=3, width=4, hidden=8, noise=0.5))
    axis = torch.arange(-3, 4, 0.25)
    grid = torch.cartesian_prod(axis, axis, axis)
    with torch.no_grad():
        pixels = pixels_of(given)
        slots = layer.slots(layer.encoder(pixels), layer.start[None]).slots
        place = pixels[0, :1, 3:].expand(3, -1)
        colour, mask = layer.colour_and_mask(layer.decoder(torch.cat([slots[0], place], -1))).split(
            [3, 1], -1
        )
        density = sum(
            share * stats.multivariate_normal(mean.numpy(), 0.25 * np.eye(3)).pdf(grid.numpy())
            for share, mean in zip(mask[:, 0].softmax(0).tolist(), colour, strict=True)
        )
        assert density.sum() * 0.25**3 == pytest.approx(1, abs=0.01)
        of = [stats.multivariate_normal(mean.numpy(), 0.25 * np.eye(3)) for mean in colour]
        own = pixels[0, 0, :3].numpy()
        expected = np.log(
            sum(s * o.pdf(own) for s, o in zip(mask[:, 0].softmax(0).tolist(), of, strict=True))
        )
        assert layer(given)[0, 0].item() == pytest.approx(expected, abs=1e-4)


def test_the_order_of_slots_changes_their_names_alone():
    given = numbers()
    layer = made(Slots(count=4, width=4, hidden=8))
    said, explained = layer(given), layer.explained(given)
    with torch.no_grad():
        layer.start.copy_(layer.start.flip(0))
    torch.testing.assert_close(layer(given), said)
    torch.testing.assert_close(layer.explained(given), explained.flip(1))
    assert (layer.groups(given) == layer.explained(given).argmax(1)).all()
