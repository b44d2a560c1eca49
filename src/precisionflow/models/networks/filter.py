"""A network that is a filter: readings of a moving target to the mean and log precision of its landing."""

from abc import ABC, abstractmethod
from typing import ClassVar, assert_never

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config.drawn_tables import MovingTarget
from precisionflow.config.filters import Filter
from precisionflow.models.filters import generalised, kalman
from precisionflow.models.filters.coloured import Noise, coloured
from precisionflow.models.filters.coordinates import generalised_precision
from precisionflow.models.networks.layered import Layered
from precisionflow.models.numerics import outside_autocast
from precisionflow.records.cards import Standardisation

Readings = Float[Tensor, "rows times"]
Landing = tuple[Float[Tensor, "rows"], Float[Tensor, ""]]
"""Mean of each row, variance of all."""
Number = Float[Tensor, ""]

START_VARIANCE, START_WHITE = 1.0, 0.01
"""Variance of a reading's error and its white share where these are learned."""
LIMITS = {
    "reading": 10.0,
    "white": 10.0,
    "motion": 10.0,
    "motion_smoothness": 2.5,
    "reading_smoothness": 2.5,
    "rate": 5.0,
    "spread": 10.0,
}
"""Learned factors, by what they stand on, and the furthest that their logarithms get: the variance of a reading's error
and its white share, the density of the motion's noise, the smoothness of both, the rate of generalised filtering and
the variance that it states."""
SMOOTHNESS = ("motion_smoothness", "reading_smoothness")


class Believer(nn.Module, ABC):
    """Readings, standardised, to mean and log precision of the landing, standardised."""

    learns: ClassVar[tuple[str, ...]]
    free: Tensor
    limits: Tensor
    assumed: Tensor
    reading_mean: Tensor
    reading_scale: Tensor
    landing_scales: Tensor

    def __init__(self, config: Filter, source: MovingTarget, scales: Standardisation) -> None:
        super().__init__()
        self.source, self.known = source, config.learned == "nothing"
        self.order, self.embedding = config.order, config.embedding
        self.log_factors = nn.Parameter(torch.zeros(len(LIMITS)))
        free = {
            "nothing": (),
            "precisions": self.learns,
            "precisions_and_smoothness": (*self.learns, *SMOOTHNESS),
        }[config.learned]
        for name, values in (
            ("free", [float(name in free) for name in LIMITS]),
            ("limits", list(LIMITS.values())),
            ("assumed", self.begun(_smoothness(config, source))),
            ("reading_mean", scales.feature_mean),
            ("reading_scale", scales.feature_scale),
            ("landing_scales", (scales.target_mean, scales.target_scale)),
        ):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64), persistent=False)

    def begun(self, smoothness: tuple[float, float]) -> tuple[float, ...]:
        """What is assumed of each of LIMITS before it is learned."""
        source = self.source
        error = source.noise**2 if self.known else START_VARIANCE
        white = source.floor**2 if self.known else START_WHITE
        return error, white, source.density, *smoothness, 1 / max(*smoothness, source.interval), 1.0

    def forward(self, rows: Readings) -> Float[Tensor, "rows 2"]:
        with outside_autocast(rows.device):
            mean, variance = self.landing(rows.double() * self.reading_scale + self.reading_mean)
            origin, scale = self.landing_scales.unbind()
            log_precision = 2 * scale.log() - variance.log()
            return torch.stack([(mean - origin) / scale, log_precision.expand(len(rows))], dim=-1).float()

    def numbers(self) -> dict[str, Number]:
        """What is assumed or learned of each of LIMITS."""
        factors = (self.limits * torch.tanh(self.free * self.log_factors.double() / self.limits)).exp()
        return dict(zip(LIMITS, (self.assumed * factors).unbind(), strict=True))

    @property
    def dynamics(self) -> Float[Tensor, "2 2"]:
        """d (x, x') / dt = dynamics (x, x'), without a force."""
        return self.assumed.new_tensor([[0.0, 1.0], [-self.source.stiffness, -self.source.damping]])

    @abstractmethod
    def landing(self, readings: Readings) -> Landing:
        """In the source's units."""


class Augmented(Believer):
    """Kalman filter of position, velocity and the generalised coordinates of each noise that is not white."""

    learns = ("reading", "white", "motion")

    def landing(self, readings: Readings) -> Landing:
        model, source = self.model(), self.source
        mean, covariance = kalman.filtered(model, readings, interval=source.interval)
        mean, covariance = kalman.predicted(model, mean, covariance, lead=source.ahead)
        return mean[:, 0], covariance[0, 0]

    def model(self) -> kalman.StateSpace:
        """Of the target and its noises."""
        numbers, source = self.numbers(), self.source
        force = coloured(self.order, numbers["motion_smoothness"], density=numbers["motion"])
        at_zero = 2 * torch.pi**0.5 * numbers["reading_smoothness"]
        error = coloured(self.order, numbers["reading_smoothness"], density=at_zero * numbers["reading"])
        blocks = [Noise.none(self.dynamics), force, error]
        drift = torch.block_diag(*(block.drift for block in blocks))
        density = torch.block_diag(*(block.density for block in blocks))
        start = torch.block_diag(*(block.covariance for block in blocks))
        start[0, 0], start[1, 1] = 1.0, source.density / (2 * source.damping)
        reading = drift.new_zeros(len(drift))
        reading[0] = 1.0
        if len(force.drift):
            drift[1, 2] = 1.0
        else:
            density[1, 1] = numbers["motion"]
        white = numbers["reading"]
        if len(error.drift):
            reading[-len(error.drift)] = 1.0
            white = white * numbers["white"]
        return kalman.StateSpace(drift, density, reading, white, start)


class Generalised(Believer):
    """Generalised filtering; the motion goes on without a force from the last reading to the landing."""

    learns = ("reading", "motion", "rate", "spread")

    def landing(self, readings: Readings) -> Landing:
        numbers, model = self.numbers(), self.model()
        belief = generalised.filtered(model, readings, interval=self.source.interval, rate=numbers["rate"])
        ahead = torch.linalg.matrix_exp(self.dynamics * self.source.ahead)[0]
        covariance = torch.linalg.inv(model.curvature)[:2, :2]
        return belief[:, :2] @ ahead, numbers["spread"] * (ahead @ covariance @ ahead)

    def model(self) -> generalised.GeneralisedModel:
        """Precisions of readings and motion."""
        numbers, source = self.numbers(), self.source
        variance = numbers["motion"] / (2 * torch.pi**0.5 * numbers["motion_smoothness"])
        return generalised.GeneralisedModel(
            generalised_precision(self.embedding, numbers["reading_smoothness"]) / numbers["reading"],
            generalised_precision(self.order - 2, numbers["motion_smoothness"]) / variance,
            stiffness=source.stiffness,
            damping=source.damping,
        )


def _smoothness(config: Filter, source: MovingTarget) -> tuple[float, float]:
    """Of the motion's noise and of the readings'."""
    if config.by == "kalman":
        return 0.0, 0.0
    if config.smoothness is not None:
        return config.smoothness, config.smoothness
    return source.motion_smoothness, source.reading_smoothness


def landing_filter(config: Filter, source: MovingTarget, scales: Standardisation) -> Layered:
    """inputs: Float "rows readings", standardised; output: mean, log precision."""
    return Layered([_believer(config)(config, source, scales)], nn.Identity(), states=[(2,)])


def _believer(config: Filter) -> type[Believer]:
    match config.by:
        case "augmented" | "kalman":
            return Augmented
        case "generalised":
            return Generalised
        case _:
            assert_never(config.by)
