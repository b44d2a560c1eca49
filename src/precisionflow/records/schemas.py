"""Columns of every Parquet file that passes between stages."""

import pyarrow as pa


def _schema(
    *, may_be_nan: tuple[str, ...] = (), may_be_missing: tuple[str, ...] = (), **columns: pa.DataType
) -> pa.Schema:
    fields = [pa.field(name, kind, nullable=False) for name, kind in columns.items()]
    marks = dict.fromkeys(may_be_nan, NAN) | dict.fromkeys(may_be_missing, MISSING)
    marks |= dict.fromkeys(set(may_be_nan) & set(may_be_missing), EITHER)
    return pa.schema([f.with_metadata(marks[f.name]) if f.name in marks else f for f in fields])


def without(schema: pa.Schema, *names: str) -> pa.Schema:
    """A schema without some columns, such as one that may be missing."""
    return pa.schema([field for field in schema if field.name not in names])


def only(schema: pa.Schema, *names: str) -> pa.Schema:
    """A schema of some columns alone."""
    return pa.schema([schema.field(name) for name in names])


NAN, MISSING = {b"may be": b"nan"}, {b"may be": b"missing"}
"""Marks of a column whose cells may be NaN, and of one that need not be there."""
EITHER = {b"may be": b"nan or missing"}
"""Mark of a column that is both."""
_text, _real, _whole = pa.string(), pa.float64(), pa.int64()
_reals = pa.list_(pa.field("element", _real, nullable=False))

WEIGHT = "weight"
REGRESSION_ROWS = _schema(may_be_missing=(WEIGHT,), row=_whole, features=_reals, target=_real, weight=_real)
"""data/<part>.parquet of a table: index of the row in the source; standardised features and target; the row's weight,
where the source names a column of weights."""
TOKENS = _schema(token=pa.int32())
"""data/<part>.parquet of a text: one row for each character, index into the vocabulary."""
_ids = pa.list_(pa.field("element", pa.int32(), nullable=False))
_bags = pa.list_(pa.field("element", _ids, nullable=False))
SEQUENCES = _schema(row=_whole, tokens=_bags, target=pa.int32())
"""data/<part>.parquet of classified texts: index of the row in the source; ids of each token; index of the class."""
AUXILIARY = "auxiliary"
TAGGED = _schema(may_be_missing=(AUXILIARY,), row=_whole, tokens=_bags, target=_ids, auxiliary=_bags)
"""data/<part>.parquet of tagged texts: index of the text in the source; ids of each token; index of each token's class,
NOT_COUNTED where nothing is to be predicted; the same of each token in the columns that are learned beside."""
NOT_COUNTED = -1
"""Target of a token that no loss or metric counts."""
EPISODES = _schema(row=_whole)
"""data/<part>.parquet of a world: index of the episode, which with seed and split decides all its chances."""
STATED = _schema(part=_text, row=_whole, mean=_real, std=_real)
"""model/stated.parquet of a model from outside, in place of weights: the Gaussian of each test row and, where they are
known, of each validation row (part: test, valid), in the target's own units."""
STATED_CLASSES = _schema(part=_text, row=_whole, log_probability=_reals)
"""model/stated.parquet of a model from outside of classes: log p of each class, in their order, in nats."""
HISTORY = _schema(step=_whole, metric=_text, value=_real)
"""model/history.parquet: what was measured while training."""
SETTLING = _schema(
    may_be_nan=("pit_error", "coverage_50", "coverage_90", "coverage_95", "dispersion"),
    may_be_missing=("head_precision",),
    network=_whole,
    step=_whole,
    layer=_whole,
    energy=_reals,
    error_norm=_reals,
    precision=_reals,
    quadratic_energy=_reals,
    cosine=_real,
    errors=_whole,
    pit_error=_real,
    coverage_50=_real,
    coverage_90=_real,
    coverage_95=_real,
    dispersion=_real,
    head_precision=_reals,
)
"""model/settling.parquet, where training.monitor_every asks for it: how the errors of a batch, or of the parts of it
that ranks take first where training.accumulate cuts it, settle after so many optimiser steps. A row for each layer with
an error, by its place in the network, and a last one for the output, by the number of layers; network: the member of an
ensemble, else 0. energy: nats a target before the first iteration and after each, of the output its loss. error_norm:
of the settled errors at each position, the root of the mean over samples of the squared norm over channels. precision:
their geometric mean there. A sample counts by its weight. quadratic_energy: precision error^2 / 2 there, nats a
target. All are lists of one number for rows of a table, and empty for the output, but for the precision of an image's
law: one number, the geometric mean over images and pixels. cosine: between the gradient that its weights learn from
and backprop's. errors: number of settled errors, one a channel; of the output 0 but of images. pit_error, coverage_NN,
dispersion: of `inference.predictive_coding.calibration`, NaN of no errors. head_precision: precision of each head of
attention, in their order, where each has its own; elsewhere empty. A checkpoint has the same of every network that
trains."""
_LOOK = {
    "network": _whole,
    "step": _whole,
    "layer": _whole,
    "head": _whole,
    "symbol": _text,
    "n": _whole,
    "entropy": _real,
    "log_precision": _real,
}
ATTENTION_HISTORY = _schema(may_be_nan=("log_precision",), **_LOOK)
"""model/attention.parquet of networks of tokens, where training.monitor_every asks for it: `ATTENTION` of the batch
that comes next after so many optimiser steps. log_precision is NaN where no token states one; network: the member of
an ensemble, else 0."""
NETWORK_ATTENTION = _schema(may_be_nan=("log_precision",), **(_LOOK | {"symbol": _whole}))
"""attention.parquet of a checkpoint: the same of every network that trains, symbols by their ids."""
NETWORK_HISTORY = _schema(network=_whole, step=_whole, metric=_text, value=_real)
"""history.parquet of a checkpoint: the same of every network that trains."""
PREDICTIONS = _schema(
    row=_whole,
    target=_real,
    family=_text,
    location=_reals,
    scale=_reals,
    weight=_reals,
    degrees_of_freedom=_reals,
    location_std=_reals,
    mean=_real,
    std=_real,
)
"""evaluation/predictions.parquet of a table, in the target's own units: the parameters of `distribution.Distribution`,
one number for each component, empty lists where the family has no such parameter; the distribution's mean and std."""
CLASS_PREDICTIONS = _schema(
    row=_whole,
    target=pa.int32(),
    log_probability=_real,
    confidence=_real,
    correct=pa.bool_(),
    entropy=_real,
    brier=_real,
)
"""evaluation/predictions.parquet of classes, such as the next character: nats; confidence is the largest probability,
brier the sum over classes of (p - y)^2."""
PLAYED = _schema(
    row=_whole,
    reward=_real,
    success=pa.bool_(),
    steps=_whole,
    information=_real,
    surprise=_real,
    state_nll=_real,
)
"""evaluation/predictions.parquet of a world, a row for each episode: sum of its rewards; whether its last state is a
success; actions; nats by which observations changed beliefs about the state; means over observations of -ln p(o) and of
-ln of the belief in the true state."""
IMAGE_PREDICTIONS = _schema(row=_whole, free_energy=_real, reconstruction_error=_real, completion_error=_real)
"""evaluation/predictions.parquet of images without classes: nats of a pixel; mean squared error of the image that the
highest state predicts, and of the lower half predicted from the upper, standardised."""
GROUPINGS = _schema(row=_whole, objects=_whole, adjusted_rand_index=_real)
"""evaluation/predictions.parquet of images of objects: the image's number, its visible objects, the adjusted Rand index
of their pixels."""
VIDEOS = _schema(row=_whole, net_utility=_real, utility=_real, change_cost=_real)
"""evaluation/predictions.parquet of videos: the video's number; nats of an image, their difference first: what its
tokens tell, and what changing them costs."""
STAGES = _schema(row=_whole, utility=_real, precision_error=_real, elbo=_real)
"""evaluation/predictions.parquet of stages: the row's number; nats that the tokens of its stages tell; root mean square
error of ln precision of its stages; lower bound of ln p of its readings, in nats."""
RETRIEVALS = _schema(
    row=_whole, retrieved=pa.bool_(), state_error=_real, patterns_at_rest=_real, steps_to_rest=_whole
)
"""evaluation/predictions.parquet of queries: the query's number; whether it ends within 0.1 of its pattern; its
distance from it there; exp of the entropy of p(pattern | state) there; steps."""
CLASSES = _schema(
    **{"class": _text},
    n=_whole,
    predicted=_whole,
    accuracy=_real,
    f1=_real,
    confidence=_real,
    ece=_real,
    chance_low=_real,
    chance_high=_real,
)
"""evaluation/classes.parquet of texts and words: targets of the class, rows where it is the most probable, share of its
targets that are right, F1, mean over its targets of the largest probability, calibration error of its own probability
and the ends of what chance gives a calibrated model."""
CONFUSIONS = _schema(target=_text, predicted=_text, n=_whole)
"""evaluation/confusions.parquet beside it: pairs of unlike classes that stand at least once, the commonest first."""
FIT = _schema(
    may_be_nan=("target",),
    x=_real,
    target=_real,
    mean=_real,
    epistemic=_real,
    low_95=_real,
    low_50=_real,
    high_50=_real,
    high_95=_real,
)
"""evaluation/fit.parquet of a table with one feature x: test rows, then a grid whose target is NaN; source units."""
IMAGES = _schema(
    chosen=_text,
    row=_whole,
    free_energy=_real,
    shape=_ids,
    original=_reals,
    reconstruction=_reals,
    completed=_reals,
)
"""evaluation/images.parquet of images, to be looked at: chosen "first", the first of the test part, or "strangest",
those of the highest free energy among test images and unknown classes. Nats of a pixel; shape of an image; pixels in
their own units, of the image that the highest state predicts, and of the image whose lower half is predicted from the
upper."""
_CELL = {"experiment": _text, "variant": _text, "dataset": _text, "seed": _whole, "split": _whole}
CELL = tuple(_CELL)
"""Columns that say which cell a row is of."""
METRICS = _schema(
    **_CELL,
    metric=_text,
    value=_real,
    n=_whole,
    n_train=_whole,
    test=_text,
    chance=_reals,
)
"""evaluation/metrics.parquet: n is the number of rows or tokens behind the value, n_train that of training and
validation, test the sha256 of the prepared test rows, which are standardised by those that were learned from. chance is
the metric in worlds where the predictions are true, the same worlds in every cell; an empty list where chance does not
keep it from its ideal."""
SURENESS = ""
"""In place of a feature's name: bins of how sure the model says it is, by the stated std or the largest probability."""
BINS = _schema(
    **_CELL,
    feature=_text,
    bin=_whole,
    low=_real,
    high=_real,
    label=_text,
    metric=_text,
    value=_real,
    n=_whole,
    chance=pa.list_(pa.field("element", pa.float32(), nullable=False)),
)
"""evaluation/bins.parquet: scores of the n test rows whose feature lies in bin 0, 1, ... from low to high, all in the
source's own units. Of texts and words the length in tokens or words stands in place of a feature, of words also kinds:
the predicted tag, and whether training has the word; label is the name of a kind, else empty. metric, of numbers:
coverage_95; std, the root mean square of the stated one; rmse; nll in nats. Of classes: accuracy; confidence, the mean
of the stated one; nll; set_coverage_95_after_<method> and the mean size of these sets. chance as in METRICS, empty of
what is stated. The bins of a feature are those of all rows of the data, so that every cell has the same; those of what
a model states are its own."""
TABLE = _schema(
    may_be_nan=("mean", "low", "high", "std", "chance_low", "chance_high"),
    experiment=_text,
    dataset=_text,
    variant=_text,
    metric=_text,
    mean=_real,
    low=_real,
    high=_real,
    std=_real,
    n=_whole,
    failed=_whole,
    overlap=_real,
    chance_low=_real,
    chance_high=_real,
)
"""aggregate/table.parquet: n units, and how many have no value because a cell of theirs failed; low, high and std are
NaN where n = 1, the mean too where n = 0 or failures are refused. overlap is n_test / n_train of splits, which
widens the interval, and 0 of seeds. The mean over the same cells would lie between chance_low and chance_high, at the
experiment's confidence, if every prediction were true; NaN where chance does not keep the metric from its ideal."""
_SIDES = {"axis": _text, "level": _text, "baseline": _text, "variant": _text, "baseline_variant": _text}
"""What a contrast is between."""
_EFFECT = dict.fromkeys(
    (
        *("effect", "low", "high", "std", "p", "p_adjusted", "margin", "equivalence", "equivalence_adjusted"),
        *("units_for_difference", "units_for_equivalence"),
    ),
    _real,
)
"""What is measured of it, each perhaps NaN."""
SIGN_FLIPS = ("sign_flip", "sign_flip_adjusted")
CONTRASTS = _schema(
    may_be_nan=(*_EFFECT, "percentile_low", "percentile_high", "bca_low", "bca_high", *SIGN_FLIPS),
    may_be_missing=SIGN_FLIPS,
    experiment=_text,
    dataset=_text,
    metric=_text,
    **_SIDES,
    **_EFFECT,
    n=_whole,
    failed=_whole,
    overlap=_real,
    percentile_low=_real,
    percentile_high=_real,
    bca_low=_real,
    bca_high=_real,
    **dict.fromkeys(SIGN_FLIPS, _real),
    verdict=_text,
)
"""aggregate/contrasts.parquet: effect = mean of (variant - baseline_variant), paired, std = their standard deviation; p
of no difference, and that of a difference of the margin or more (`equivalence`); NaN where n = 1, and where no margin
is stated; all of them where failures are refused. failed: units in which a cell of one of the two failed.
units_for_: of an undecided contrast, how many would show the measured effect, or equivalence, at 80 % power; NaN where
no number up to 10,000 would, and of all other verdicts. percentile_, bca_: ends of the intervals by bootstrap.
sign_flip: p of no difference by flips of signs, NaN where units share rows; not there in tables of older code."""
ACROSS = _schema(
    may_be_nan=(*_EFFECT, "between", "improvement", "improvement_low", "improvement_high"),
    experiment=_text,
    metric=_text,
    scale=_text,
    **_SIDES,
    **_EFFECT,
    between=_real,
    n=_whole,
    failed=_whole,
    improvement=_real,
    improvement_low=_real,
    improvement_high=_real,
    verdict=_text,
)
"""aggregate/across.parquet: the same over data sets, n of them, each with its effect as one unit. scale: "difference"
in the metric's unit, or "log ratio" of variant to baseline. std: of the measured effects; between: of the true ones;
failed: data sets without an effect. improvement: probability that a run of the variant is better than one of the
baseline on the same data set, with the ends of its interval by bootstrap."""
RANKS = _schema(
    experiment=_text,
    metric=_text,
    variant=_text,
    mean_rank=_real,
    sets=_whole,
    chi2=_real,
    p=_real,
    critical_difference=_real,
)
"""aggregate/ranks.parquet: mean rank of a variant over the data sets, 1 is best; the same of all variants of a metric:
chi2 of Friedman and its p by permutations, Nemenyi's critical difference of mean ranks."""
IQM = _schema(
    may_be_nan=("low", "high"),
    experiment=_text,
    metric=_text,
    scale=_text,
    variant=_text,
    reference=_text,
    iqm=_real,
    low=_real,
    high=_real,
    n=_whole,
    sets=_whole,
)
"""aggregate/iqm.parquet: interquartile mean of a variant's n runs on all data sets, each relative to the mean of the
reference on the same set (`scale` as in across.parquet), and its interval by bootstrap; NaN where a set has one
unit."""
PROFILES = _schema(
    may_be_nan=("low", "high"),
    experiment=_text,
    metric=_text,
    variant=_text,
    threshold=_real,
    share=_real,
    low=_real,
    high=_real,
)
"""aggregate/profiles.parquet: share of a variant's runs whose relative score is at least as good as the threshold, mean
over the data sets, and its pointwise interval by bootstrap, NaN where a set has one unit."""
SENSITIVITY = _schema(
    may_be_nan=("value", "low", "high", "chance"),
    experiment=_text,
    dataset=_text,
    metric=_text,
    parameter=_text,
    measure=_text,
    value=_real,
    low=_real,
    high=_real,
    chance=_real,
    n=_whole,
    failed=_whole,
)
"""aggregate/sensitivity.parquet of a sensitivity analysis: how far a parameter, by its dotted key, moves a metric.
measure: "swing" of one at a time, over n units; "mu_star", "mu", "sigma" of Morris, over n trajectories; "first_order",
"total" of Sobol, over n rows of the samples. A parameter without effect stays below chance at the experiment's
confidence; NaN where one unit leaves no noise to see. failed: runs without a value for a unit; where they are refused
the numbers are NaN."""
RESPONSE = _schema(
    may_be_nan=("mean", "low", "high", "behind", "behind_low", "behind_high"),
    experiment=_text,
    dataset=_text,
    metric=_text,
    parameter=_text,
    value=_text,
    place=_real,
    mean=_real,
    low=_real,
    high=_real,
    n=_whole,
    behind=_real,
    behind_low=_real,
    behind_high=_real,
    own=pa.bool_(),
    robust=pa.bool_(),
    recommended=pa.bool_(),
)
"""aggregate/response.parquet of a sensitivity analysis: mean of a metric at each level of a parameter, or in a quarter
of its range, from place 0 to 1; of n units at the experiment's own other settings, or of n runs, cleared of the other
parameters by an additive model. behind: difference from the best level, above 0 where worse, with its interval; own:
the level that the experiment's value is at or nearest to; robust, recommended: `ablation.analyses.responses.judged`."""
_LAW = dict.fromkeys(
    (f"{name}{end}" for name in ("offset", "factor", "exponent") for end in ("", "_low", "_high")), _real
)
LAWS = _schema(
    may_be_nan=tuple(_LAW),
    experiment=_text,
    dataset=_text,
    size=_text,
    quantity=_text,
    **_LAW,
    n=_whole,
    units=_whole,
)
"""aggregate/laws.parquet of a scaling analysis: quantity = offset + factor * size^exponent, the other sizes the
experiment's own, with intervals by bootstrap of the units, NaN of one unit. size: dotted key; quantity: a metric,
"seconds" or "flops" of an optimiser step, measured and predicted; n: sizes; no law where a failed unit is refused."""
SIZES = _schema(
    may_be_nan=("mean", "low", "high", "fitted", "ratio", "ratio_low", "ratio_high"),
    experiment=_text,
    dataset=_text,
    size=_text,
    quantity=_text,
    at=_real,
    mean=_real,
    low=_real,
    high=_real,
    fitted=_real,
    ratio=_real,
    ratio_low=_real,
    ratio_high=_real,
)
"""aggregate/sizes.parquet: what the units measured at each size, and what the law says there. ratio: of seconds, over
those that the predicted operations give from the largest size."""
_BEST = dict.fromkeys(
    (f"{name}{end}" for name in ("parameters", "data", "loss") for end in ("", "_low", "_high")), _real
)
ISOFLOP = _schema(
    may_be_nan=tuple(name for name in _BEST if name.endswith(("_low", "_high"))),
    experiment=_text,
    dataset=_text,
    metric=_text,
    flops=_real,
    **_BEST,
    outside=_text,
    runs=_whole,
    units=_whole,
)
"""aggregate/isoflop.parquet of a scaling analysis whose runs differ in parameters and in data: by the joint law of
both, the parameters and the targets learned from that a budget of operations is best spent on, and the metric there.
outside: which of the two no run has as few or as many of, "parameters", "data" or "parameters, data"; empty where the
best lies between runs."""
PERFORMANCE = _schema(
    may_be_nan=("low", "high"),
    experiment=_text,
    dataset=_text,
    variant=_text,
    measure=_text,
    value=_real,
    low=_real,
    high=_real,
    n=_whole,
)
"""aggregate/performance.parquet of a performance analysis, means over n units: the names of a `records.cards.Profile`,
and "step", "training" in seconds, "targets_per_second", "flops_per_second", "parameters", "flops" of the training."""
WHERE = _schema(
    may_be_nan=("chance_low", "chance_high"),
    experiment=_text,
    dataset=_text,
    variant=_text,
    feature=_text,
    bin=_whole,
    low=_real,
    high=_real,
    label=_text,
    metric=_text,
    mean=_real,
    n=_whole,
    cells=_whole,
    chance_low=_real,
    chance_high=_real,
)
"""aggregate/where.parquet: mean of `BINS` over the cells that have test rows in the bin; n rows of all of them; low and
high are the outermost of the cells. The chance as in TABLE, of one bin alone."""
FAILURES = _schema(
    experiment=_text, dataset=_text, variant=_text, seed=_whole, split=_whole, stage=_text, cause=_text
)
"""aggregate/failures.parquet: cells that failed, and why."""
TRIALS = _schema(
    may_be_nan=("value", "seconds"),
    trial=_text,
    state=_text,
    value=_real,
    settings=_text,
    parameters=_text,
    metrics=_text,
    seconds=_real,
    cause=_text,
)
"""trials.parquet of a search: value and seconds are NaN where there are none; settings, parameters and metrics are
JSON."""
GENERATED = _schema(
    prompt=_whole, place=_whole, token=_whole, text=_text, log_probability=_real, entropy=_real
)
"""What `generate` writes, a row for each token: index of its prompt, its place after it, its id, what it adds to
the text (nothing where it ends inside a character); its log probability and the entropy of the network's distribution,
in nats, before any truncation."""
ATTENTION = _schema(
    may_be_missing=("log_precision",),
    layer=_whole,
    head=_whole,
    symbol=_text,
    n=_whole,
    entropy=_real,
    log_precision=_real,
)
"""evaluation/attention.parquet of texts: for each layer, head and symbol, from 0, its tokens; the mean entropy of their
edges, in nats; the mean of the log precision that they state over tokens and channels, where they state one."""
EDGES = _schema(
    layer=_whole, head=_whole, query=_whole, key=_whole, token=_text, attended=_text, probability=_real
)
"""evaluation/edges.parquet beside it: the posterior over edges of one head at the beginning of the test text, query by
query and key by key, their places from 0 and their texts."""
