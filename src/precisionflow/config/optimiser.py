"""Optimisers, and the named groups of parameters that a learning rate and a weight decay can be set for."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from precisionflow.config.base import Config, Fraction, NonNegative, Positive

GroupName = Literal["embedding", "attention", "feed_forward", "precision", "distribution", "readout"]


class AdamW(Config):
    """Adaptive moments with decoupled weight decay (Loshchilov & Hutter 2019), for all parameters."""

    kind: Literal["adamw"] = "adamw"


class Muon(Config):
    """Orthogonalised momentum (Jordan 2024) for matrices of attention and feed-forward layers, AdamW for the rest."""

    kind: Literal["muon"] = "muon"
    learning_rate: Positive = 0.02
    """Of the matrices, times sqrt(rows / columns) where that is above 1; training.learning_rate is that of the rest."""
    momentum: Fraction = 0.95


Optimiser = Annotated[AdamW | Muon, Field(discriminator="kind")]


class Group(Config):
    """What differs for one group of parameters."""

    learning_rate_factor: Positive = 1.0
    """Times the learning rate, at every step of the schedule."""
    weight_decay: NonNegative | None = None
    """None: training.weight_decay."""


class Groups(Config):
    """Groups of parameters; every parameter of a network is in exactly one."""

    embedding: Group = Group()
    """Of tokens and of learned positions; with a tied readout, its weights too."""
    attention: Group = Group()
    """All of an attention layer, its norms too, but for what states a precision."""
    feed_forward: Group = Group()
    """Feed-forward layers with their norms, and the hidden layers of a network of rows."""
    precision: Group = Group(learning_rate_factor=0.03)
    """What states the precision of attention, each channel's from all channels of a token: at the rate of other weights
    its logarithm moves too far in a step."""
    distribution: Group = Group()
    """What a predictive distribution or an error law has beside its location: precision heads, shared precisions."""
    readout: Group = Group()
    """The last norm and linear map, or the heads of locations."""

    def __getitem__(self, name: GroupName) -> Group:
        of: Group = getattr(self, name)
        return of


assert set(get_args(GroupName)) == set(Groups.model_fields), "every group has settings"
