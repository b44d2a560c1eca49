"""Urns: each class draws its symbols from a distribution of its own, so that its posterior is exact."""

import numpy as np
from scipy import special

from precisionflow.config.synthetic import Urns
from precisionflow.data.sources.synthetic.drawn import Drawn, Source, replaced
from precisionflow.data.tokens.listed import PADDING


def urns(source: Urns) -> Source:
    """p(class | symbols) ~ product over symbols of (1 - outliers) p(symbol | class) + outliers / K."""
    alpha = np.full(source.symbols, source.concentration)
    urn = np.random.default_rng([source.seed, 1]).dirichlet(alpha, size=source.classes)

    def draw(rows: int, random: np.random.Generator, _test: bool) -> Drawn:
        target = random.integers(source.classes, size=rows)
        lengths = random.integers(source.shortest, source.length + 1, size=rows)
        uniform = random.random((rows, source.length))
        true = (uniform[..., None] > urn.cumsum(axis=1)[target][:, None, :-1]).sum(axis=-1)
        shown = replaced(true, kinds=source.symbols, outliers=source.outliers, random=random)
        real = np.arange(source.length) < lengths[:, None]
        mixed = (1 - source.outliers) * urn + source.outliers / source.symbols
        joint = np.where(real[..., None], np.log(mixed.T)[shown], 0.0).sum(axis=1)
        log_posterior = special.log_softmax(joint, axis=1)
        return Drawn(
            tokens=np.where(real, 1 + shown, 0)[..., None],
            target=target,
            log_optimal=np.take_along_axis(log_posterior, target[:, None], axis=1)[:, 0],
            optimal_correct=log_posterior.argmax(axis=1) == target,
        )

    names = tuple(map(str, range(source.symbols)))
    return Source((PADDING, *names), tuple(f"urn_{i}" for i in range(source.classes)), draw)
