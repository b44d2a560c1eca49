"""How often the interval of an effect over several data sets misses it, and how often variants that are alike are told
apart by their ranks, by simulation: figures of docs/statistics.md.

True effects of the sets are normal around 0 with standard deviation `between`; each is measured by `UNITS` units whose
spread is another on every set, log-uniform over a factor of 10 around 1. `weighted` is the rival: DerSimonian and
Laird's variance between sets with the interval of Hartung, Knapp, Sidik and Jonkman, which is never narrower than known
variances would make it where it is `modified`.

    python benchmarks/across_sets.py --json runs/benchmarks/across_sets.json     # seconds
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from measured import Measured, arguments, present
from scipy import stats

from precisionflow.ablation.contrasts import effect_of
from precisionflow.ablation.ranks import ranking

REPETITIONS = 10_000
UNITS = 8
FALSE = 5.5
"""Per cent of intervals at 95 % that may miss."""
Sets = Float[np.ndarray, "repetitions sets"]


def drawn(sets: int, between: float) -> tuple[Sets, Sets]:
    """Measured effect of every set, and the square of its standard error."""
    generator = np.random.default_rng(sets)
    shape = (REPETITIONS, sets)
    spread = 10 ** generator.uniform(-0.5, 0.5, shape)
    effects = (
        between * generator.standard_normal(shape) + spread * generator.standard_normal(shape) / UNITS**0.5
    )
    return effects, spread**2 * generator.chisquare(UNITS - 1, shape) / (UNITS - 1) / UNITS


def ours(effects: Sets) -> tuple[Float[np.ndarray, " repetitions"], Float[np.ndarray, " repetitions"]]:
    """Mean effect and half the width of its interval."""
    found = [effect_of(row, bounded=True, margin=np.nan, confidence=0.95) for row in effects.tolist()]
    return np.array([f["effect"] for f in found]), np.array([(f["high"] - f["low"]) / 2 for f in found])


def weighted(
    effects: Sets, errors: Sets, *, modified: bool
) -> tuple[Float[np.ndarray, " repetitions"], Float[np.ndarray, " repetitions"]]:
    """The same by DerSimonian and Laird (1986), Hartung and Knapp (2001), Sidik and Jonkman (2002)."""
    sets = effects.shape[1]

    def mean(weight: Sets) -> Float[np.ndarray, "repetitions 1"]:
        return (weight * effects).sum(1, keepdims=True) / weight.sum(1, keepdims=True)

    fixed = 1 / errors
    q = (fixed * (effects - mean(fixed)) ** 2).sum(1)
    total = fixed.sum(1)
    between = np.maximum(0, (q - sets + 1) / (total - (fixed**2).sum(1) / total))
    weight = 1 / (errors + between[:, None])
    inflation = (weight * (effects - mean(weight)) ** 2).sum(1) / (sets - 1)
    inflation = np.maximum(inflation, 1) if modified else inflation
    half = stats.t.ppf(0.975, sets - 1) * np.sqrt(inflation / weight.sum(1))
    return mean(weight)[:, 0], half


def measured() -> Iterator[Measured]:
    for sets in (3, 5, 9):
        for between in (0.0, 0.3, 1.0):
            effects, errors = drawn(sets, between)
            where = f"{sets} sets, between {between:g}"
            forms = {
                "ours": ours(effects),
                "weighted": weighted(effects, errors, modified=False),
                "weighted, modified": weighted(effects, errors, modified=True),
            }
            usual = forms["ours"][1].mean()
            for name, (mean, half) in forms.items():
                missed = 100 * float(np.mean(abs(mean) > half))
                yield Measured(f"{where}, {name}: misses", missed, "%", FALSE if name == "ours" else None)
                yield Measured("  mean width over ours", float(half.mean() / usual), "")


def told_apart() -> Iterator[Measured]:
    """Variants without a difference whose ranks differ at 5 %: by permutations, by chi² and by F."""
    for variants, sets in ((3, 3), (3, 4), (4, 3), (5, 3), (4, 6), (8, 3), (4, 14)):
        draws = np.random.default_rng(sets).random((REPETITIONS, sets, variants))
        found = [ranking(scores, confidence=0.95) for scores in draws]
        chi2 = np.array([of.chi2 for of in found])
        rest = np.maximum(sets * (variants - 1) - chi2, 1e-12)
        by_f = stats.f.sf((sets - 1) * chi2 / rest, variants - 1, (variants - 1) * (sets - 1))
        forms = {
            "permutations": np.array([of.p for of in found]),
            "chi²": stats.chi2.sf(chi2, variants - 1),
            "F": by_f,
        }
        for name, p in forms.items():
            claimed, bar = 100 * float(np.mean(p <= 0.05)), FALSE if name == "permutations" else None
            yield Measured(f"{variants} variants on {sets} sets, {name}: told apart", claimed, "%", bar)


def main() -> None:
    present([*measured(), *told_apart()], arguments(__doc__).parse_args().json)


if __name__ == "__main__":
    main()
