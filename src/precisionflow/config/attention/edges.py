"""What the edges of a query are: one choice among its keys, each by itself, a window that grows."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from precisionflow.config.attention.potentials import (
    DotProduct,
    DotProductKeyBias,
    GaussianMixture,
    GaussianPerKey,
    LaplaceByChannel,
    LaplaceElliptical,
    StudentTIsotropic,
)
from precisionflow.config.attention.priors import FARTHEST, Geometric
from precisionflow.config.base import NUMBER, Config


class OneOfKeys(Config):
    """The edges of a query are one choice among its keys: their probabilities sum to 1 (softmax)."""

    potentials: ClassVar[tuple[type[Config], ...]] = (Config,)
    """Potentials that they go with: all."""
    priors: ClassVar[tuple[type[Config], ...]] = (Config,)
    """Priors that they go with: all."""
    kind: Literal["one_of_keys"] = "one_of_keys"


class Independent(Config):
    """Every edge exists or not by itself: probabilities of their own (sigmoid)."""

    potentials: ClassVar[tuple[type[Config], ...]] = (
        DotProduct,
        DotProductKeyBias,
        GaussianPerKey,
        GaussianMixture,
        StudentTIsotropic,
        LaplaceByChannel,
        LaplaceElliptical,
    )
    """Those that leave out no constant of a query: it decides how many edges there are."""
    priors: ClassVar[tuple[type[Config], ...]] = (Config,)
    kind: Literal["independent"] = "independent"
    expected: Annotated[float, Field(ge=1e-6, le=1e6), NUMBER] = 1.0
    """Edges of a query before training, where the log potentials are 0; the prior odds are learned for every head."""


class Expanding(Config):
    """One choice among the keys of a window, which grows while farther keys may matter; the prior is geometric."""

    potentials: ClassVar[tuple[type[Config], ...]] = (Config,)
    priors: ClassVar[tuple[type[Config], ...]] = (Geometric,)
    """Those whose parameter can be inferred."""
    kind: Literal["expanding"] = "expanding"
    updates: Annotated[int, Field(ge=1, le=1000), NUMBER] = 3
    """Mean-field updates of the posterior over distances and of its parameter."""
    step: Annotated[int, Field(ge=1, le=FARTHEST), NUMBER] = 8
    """Keys that a query looks at before it asks whether that is enough."""
    tolerance: Annotated[float, Field(ge=0, lt=1), NUMBER] = 1e-3
    """Posterior mass of the keys outside the window below which it stops to grow; 0: all keys are looked at."""
