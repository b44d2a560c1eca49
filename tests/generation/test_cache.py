"""A network under way against the same network on the whole text, for every attention that can be cached."""

from itertools import product

import numpy as np
import pytest
import torch

from precisionflow.config.attention import (
    Absolute,
    Attention,
    Causal,
    Decay,
    Expanding,
    GaussianPerKey,
    Geometric,
    Graph,
    Independent,
    Multihop,
    Product,
    Relative,
    Window,
)
from precisionflow.config.base import Config, members_of
from precisionflow.config.networks import Transformer
from precisionflow.generation.cache import Cached
from precisionflow.models.attention.attention import attention
from precisionflow.models.attention.memory import TOLD, Kept, Room
from precisionflow.models.attention.priors.causal import Causal as CausalPrior
from precisionflow.models.attention.rotation import Rotary
from precisionflow.models.attention.sites import Sites
from precisionflow.models.networks.layered import TokenNetwork
from precisionflow.models.networks.transformer import TiedReadout, transformer

VOCABULARY, TOKENS, WIDTH, HEADS = 7, 10, 8, 2
CUTS = [4, 1, 1, 4]
"""How many tokens come at once."""


def members(part: str) -> list[Config]:
    """A default of every member of a union of the configuration of attention."""
    return [kind() for kind in members_of(Attention.model_fields[part].annotation)]


PRIORS = (
    Causal(),
    Window(before=4),
    Product(of=(Causal(), Relative(largest=5), Decay(), Absolute(places=8))),
    Geometric(beta=3.0),
    Graph(edges=tuple((query, key) for query in range(TOKENS) for key in {0, query // 2, query})),
)
"""Without a bound, with a window, with every learned and every fixed log prior, along a sparse graph."""
EXPANDING = {"prior": Geometric(), "edges": Expanding(step=2, tolerance=0.1)}
EVERY = [
    *(
        Attention(potential=potential, prior=prior)
        for potential, prior in product(members("potential"), PRIORS)
    ),
    *(Attention(prior=prior, value=value) for prior, value in product(PRIORS, members("value")[1:])),
    *(Attention(prior=prior, edges=Independent()) for prior in PRIORS),
    *(Attention(potential=kind(), edges=Independent()) for kind in Independent.potentials[1:]),
    Attention(value=Multihop(), edges=Independent()),
    *(Attention(potential=potential, **EXPANDING) for potential in members("potential")),
    Attention(value=Multihop(), **EXPANDING),
]
"""Every potential with every prior that lets no token look ahead, every kind of value, and every kind of edges."""
NETWORKS = [
    *(Attention(potential=potential, prior=PRIORS[2]) for potential in members("potential")),
    *(Attention(prior=PRIORS[1], value=value) for value in members("value")[1:]),
    Attention(prior=PRIORS[2], edges=Independent()),
    Attention(**EXPANDING),
    Attention(temperature=1.0, potential=GaussianPerKey()),
]
"""Every part at least once."""


def network(chosen: Attention, **settings: object) -> TokenNetwork:
    """A network whose weights are all at work."""
    torch.manual_seed(0)
    config = Transformer(
        blocks=2, heads=HEADS, width=WIDTH, attention=chosen, zero_projections=False, **settings
    )
    made = transformer(config, vocabulary=VOCABULARY, context=TOKENS, readout=TiedReadout)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made.eval()


def under_way(made: TokenNetwork, text: torch.Tensor, cuts: list[int]) -> list[torch.Tensor]:
    """Logits after each piece of a text."""
    cached = Cached(made, tokens=text.shape[1], device=text.device)
    return [cached(piece)[:, 0] for piece in text.split(cuts, dim=1)]


def texts(rows: int = 3) -> torch.Tensor:
    return torch.randint(VOCABULARY, (rows, TOKENS), generator=torch.Generator().manual_seed(1))


def named(chosen: Attention) -> str:
    return f"{chosen.potential.kind}-{chosen.prior.kind}-{chosen.edges.kind}-{chosen.value.kind}"


@torch.inference_mode()
@pytest.mark.parametrize("chosen", EVERY, ids=named)
def test_cached_attention_is_that_of_the_whole_text(chosen: Attention) -> None:
    torch.manual_seed(0)
    made = attention(chosen, width=WIDTH, heads=HEADS, rotation=Rotary(WIDTH // HEADS))
    for parameter in made.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    room, text = Room.of(TOKENS, device=torch.device("cpu")), torch.randn(2, TOKENS, WIDTH)
    whole, step = made(text, room.sites(range(TOKENS))), made.begin(room)
    assert (whole[:, 1:] - whole[:, :-1]).abs().amax() > 0.01
    ends = np.cumsum(CUTS).tolist()
    found = [
        step(piece, room.sites(range(end - piece.shape[1], end)))
        for piece, end in zip(text.split(CUTS, dim=1), ends, strict=True)
    ]
    torch.testing.assert_close(torch.cat(found, dim=1), whole, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("chosen", NETWORKS, ids=named)
def test_cached_logits_are_those_of_the_whole_text(chosen: Attention) -> None:
    made, text = network(chosen, convolution=3), texts()
    whole = made(text)
    assert (whole[:, 1:] - whole[:, :-1]).abs().amax() > 0.1
    found = torch.stack(under_way(made, text, CUTS), dim=1)
    torch.testing.assert_close(found, whole[:, torch.tensor(CUTS).cumsum(0) - 1], rtol=1e-5, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("cuts", [[TOKENS], [1] * TOKENS, CUTS])
@pytest.mark.parametrize("positions", ["learned", "none", "rotary"])
def test_positions_go_on(positions: str, cuts: list[int]) -> None:
    made, text = network(Attention(), positions=positions), texts()
    found = torch.stack(under_way(made, text, cuts), dim=1)
    torch.testing.assert_close(found, made(text)[:, torch.tensor(cuts).cumsum(0) - 1], rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_a_row_is_what_it_is_alone() -> None:
    made, text = network(Attention(potential=GaussianPerKey())), texts()
    together = torch.stack(under_way(made, text, CUTS))
    for row in range(len(text)):
        alone = torch.stack(under_way(made, text[row : row + 1], CUTS))
        torch.testing.assert_close(together[:, row : row + 1], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("horizon", [0, 2, 100])
@pytest.mark.parametrize("counts", [[1] * 40, [1, 1, 5, 1, 1, 9, *[1] * 22], [39, 1], [7, 7, 7, 7, 7, 5]])
def test_a_horizon_is_all_that_is_kept(horizon: int, counts: list[int]) -> None:
    room, text = Room.of(40, device=torch.device("cpu")), torch.randn(2, HEADS, 40, 3)
    kept = Kept(room, horizon=horizon)
    assert kept.seen is None
    for stop, count in zip(np.cumsum(counts).tolist(), counts, strict=True):
        start = stop - count
        reached = range(max(0, start - horizon), stop)
        torch.testing.assert_close(kept.extended(text[:, :, start:stop]), text[:, :, reached])
        at = room.sites(range(start, stop))
        assert kept.sites(at).positions.tolist() == list(kept.sites(at).span) == list(reached)
        torch.testing.assert_close(kept.seen, text[:, :, max(0, stop - horizon) : stop])
        assert kept.buffer.shape[2] <= max(2 * horizon + 1, horizon + max(counts))


def test_a_token_costs_no_copy_of_those_before() -> None:
    kept, text = Kept(Room.of(64, device=torch.device("cpu")), horizon=None), torch.randn(1, HEADS, 64, 3)
    kept.extended(text[:, :, :20])
    places = {kept.extended(text[:, :, token : token + 1]).data_ptr() for token in range(20, 64)}
    assert places == {kept.buffer.data_ptr()}


def test_layers_are_told_the_same_sites() -> None:
    room = Room.of(99, device=torch.device("cpu"))
    assert room.sites(range(3, 5)) is room.sites(range(3, 5))
    for place in range(99):
        at = room.sites(range(place, place + 1))
        assert at.positions.tolist() == [place] == list(at.span)
    assert len(room.told) <= TOLD


def test_a_next_token_needs_no_mask() -> None:
    room = Room.of(9, device=torch.device("cpu"))
    prior = CausalPrior()
    last, all_of_them, two = room.sites(range(8, 9)), room.sites(range(9)), room.sites(range(7, 9))
    assert not prior.log(last, all_of_them).factors
    block = {"device": torch.device("cpu"), "dtype": torch.float32}
    of_two = prior.log(two, all_of_them).matrix(2, 9, **block).isfinite()
    assert of_two.tolist() == [[[[True] * 8 + [False], [True] * 9]]]
    unknown = Sites(torch.tensor([8]))
    (factor,) = prior.log(unknown, all_of_them).factors
    assert factor.block(slice(0, 1), slice(0, 9)).isfinite().all()
    assert not last.follows(unknown)
