"""Tasks: a number, a next token, a class or tags, what a synthetic source hides, a world; what fits with each."""

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from precisionflow.config.agents import Agent
from precisionflow.config.base import Config, Count, Fraction
from precisionflow.config.drawn_tables import DrawnObjects
from precisionflow.config.engine import BatchedEngine, DeepSpeedEngine, TorchEngine
from precisionflow.config.evaluation import (
    ClassRecalibration,
    Evaluation,
    SetRecalibration,
    TableRecalibration,
)
from precisionflow.config.external import Estimator, PredictionFile
from precisionflow.config.likelihoods import (
    ClassObjective,
    CrossEntropy,
    ExpectedFreeEnergy,
    FreeEnergy,
    RegressionObjective,
)
from precisionflow.config.networks import MLP, TAGI, Clusters, Fusion, Generative, Slots, Transformer
from precisionflow.config.sources import (
    ClassSource,
    ConlluFile,
    ImageSource,
    ScikitLearnClasses,
    ScikitLearnImages,
    ScikitLearnTable,
    ScikitLearnText,
    TableFile,
    TableSource,
    TextSource,
)
from precisionflow.config.synthetic import Copying, Synthetics
from precisionflow.config.tokens import Characters, HashedWords, RunningTokens, Tokens, Words, WordTokens
from precisionflow.config.worlds import TMaze, Worlds

PLANNING_METRICS = (
    "reward",
    "success",
    "information",
    "episode_steps",
    "surprise",
    "state_nll",
    "validation_loss",
)
"""Metrics of the episodes of an agent."""
CLASS_METRICS = (
    "nll",
    "ece",
    "ece_equal_mass",
    "mce",
    "class_wise_ece",
    "brier",
    "brier_reliability",
    "brier_resolution",
    "brier_uncertainty",
    "accuracy",
    "aurc",
    "validation_loss",
)
"""Metrics of class probabilities that evaluation measures."""
IMAGE_METRICS = (
    "free_energy",
    "reconstruction_error",
    "reconstruction_error_pca",
    "completion_error",
    "completion_error_pca",
    "pit_error",
    "ood_auroc_shuffled",
)
"""Metrics of a model of images, beside those of the classes that it tells."""
TooLong = Literal["refuse", "cut"]
"""What becomes of a text with more tokens than the context: an error, or it is cut, counted and told."""


class Regression(Config):
    """Predict a number with its uncertainty from a row of numbers."""

    networks: ClassVar = (MLP, Fusion, TAGI, Transformer, *get_args(Estimator), PredictionFile)
    """Networks that can learn it."""
    likelihoods: ClassVar = get_args(RegressionObjective)
    """Objectives that it can be learned by."""
    engines: ClassVar = (TorchEngine, BatchedEngine, DeepSpeedEngine)
    """Engines that can train it."""
    recalibrations: ClassVar = get_args(TableRecalibration)
    """Methods that its predictions can be recalibrated by."""
    has_splits: ClassVar = True
    """Whether its data can be cut anew."""
    causal: ClassVar = False
    """Whether a place of a sequence has to be kept from seeing later ones."""
    predicts_tokens: ClassVar = False
    """Whether its classes are the tokens that it reads."""
    headline: ClassVar = ("nll", "crps", "rmse")
    """Metrics that are contrasted when the experiment names none."""
    metrics: ClassVar = (
        "nll",
        "crps",
        "rmse",
        "pit_error",
        "rmsce_intervals",
        "rmsce_quantiles",
        "ence",
        "ause",
        "sharpness",
        "validation_loss",
    )
    """What evaluation measures, beside coverage, width and score of every interval."""
    without_zero: ClassVar = ("nll", "validation_loss", "coverage_", "excess_")
    """Starts of metrics without a natural zero: a density's logarithm depends on the target's unit, and a distance from
    a nominal level may be 0."""
    kind: Literal["regression"] = "regression"
    source: TableSource = ScikitLearnTable()
    validation_fraction: Fraction = 0.1
    """Share of the training rows that early stopping may look at; the test rows are never in it."""

    def measured(self, evaluation: Evaluation) -> tuple[str, ...]:
        """Names of all metrics; every method gives intervals anew, variance_scaling a density too.

        Of a source that is known exactly also how far the predictions are above the optimum; of one whose rows have
        causes, what a transformer attends to.
        """
        after = [f"{m}_after_{method}" for method in evaluation.recalibration for m in evaluation.intervals]
        if "variance_scaling" in evaluation.recalibration:
            after += ["nll_after_variance_scaling", "crps_after_variance_scaling"]
        beside = ("excess_nll", "excess_mse") if self.source.known else ()
        of_attention = ("attention_on_near_cause", "attention_on_far_cause")[: self.source.causes]
        if self.source.causes:
            of_attention += ("keys_visited",)
        return (*self.metrics, *beside, *of_attention, *evaluation.intervals, *after)

    @property
    def context(self) -> int:
        """Tokens of a row."""
        return self.source.row_tokens


class ClassTask(Config):
    """Tasks whose targets are classes: networks of tokens, cross-entropy, temperature."""

    networks: ClassVar[tuple[type[Config], ...]] = (Transformer,)
    likelihoods: ClassVar[tuple[type[Config], ...]] = (CrossEntropy,)
    engines: ClassVar[tuple[type[Config], ...]] = (TorchEngine, DeepSpeedEngine)
    recalibrations: ClassVar[tuple[str, ...]] = get_args(ClassRecalibration)
    predicts_tokens: ClassVar = False
    metrics: ClassVar[tuple[str, ...]] = CLASS_METRICS
    """What evaluation measures."""
    beside: ClassVar[tuple[str, ...]] = ()
    """Those of them that are no scores of one network's probabilities: no recalibration gives them anew."""
    without_zero: ClassVar[tuple[str, ...]] = ()

    def measured(self, evaluation: Evaluation) -> tuple[str, ...]:
        """Names of all metrics, and of those that a recalibration gives."""
        after = [
            f"{m}_after_{method}"
            for method in evaluation.recalibration
            for m in self.after(method, evaluation)
        ]
        return (*self.metrics, *after)

    def after(self, method: str, evaluation: Evaluation) -> tuple[str, ...]:  # noqa: ARG002 - one method here
        """Metrics that a recalibration gives: temperature all scores of probabilities anew."""
        return tuple(metric for metric in self.metrics if metric not in ("validation_loss", *self.beside))


def _told(*measures: str) -> tuple[str, ...]:
    """Metrics of how well unknown classes are told by each measure."""
    return tuple(f"ood_{score}_{measure}" for measure in measures for score in ("auroc", "fpr95"))


class NextToken(ClassTask):
    """Predict the next token of a text."""

    likelihoods: ClassVar = get_args(ClassObjective)
    has_splits: ClassVar = False
    causal: ClassVar = True
    predicts_tokens: ClassVar = True
    metrics: ClassVar = ("nll", "perplexity", "bits_per_character", "bits_per_byte", *CLASS_METRICS[1:])
    kind: Literal["next_token"] = "next_token"
    source: TextSource = ScikitLearnText()
    tokens: RunningTokens = Characters()
    context: Count = 64
    """Tokens that the model sees at once."""
    validation_fraction: Fraction = 0.05
    """Share of the text, by position after the training part; where the source names no file for it."""
    test_fraction: Fraction = 0.05
    """Share of the text, by position at its end; where the source names no file for it."""

    @property
    def headline(self) -> tuple[str, ...]:
        """Metrics that are contrasted when the experiment names none."""
        return (self.tokens.headline, "ece", "brier")

    @model_validator(mode="after")
    def _leaves_training_text(self) -> Self:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"task.validation_fraction + task.test_fraction is {self.validation_fraction + self.test_fraction:g}; "
                "keep it below 1, the rest is the training text"
            )
        return self


class SequenceClassification(ClassTask):
    """Predict the class of a text, or of a pair of texts."""

    has_splits: ClassVar = True
    causal: ClassVar = False
    headline: ClassVar = ("nll", "ece", "accuracy")
    kind: Literal["sequence_classification"] = "sequence_classification"
    source: TableFile
    """`features` names the column with the text, or the two columns of a pair; `target` the column with the class."""
    tokens: Tokens = Words()
    context: Count = 64
    """Tokens of the longest sequence."""
    too_long: TooLong = "cut"
    """cut: what a text has beyond the context is left out, of a pair the end of the longer text."""
    validation: Literal["rows", "whole_texts"] = "rows"
    """Where no file has the validation part. rows: drawn among the training texts. whole_texts: among those that no
    other training text holds word for word; what stands inside a validation text is then in no part. For texts that are
    phrases of each other."""
    validation_fraction: Fraction = 0.1
    """Share of the training texts that early stopping may look at; the test texts are never in it."""

    @property
    def texts(self) -> tuple[str, ...]:
        """Names of the columns with the texts."""
        assert self.source.features is not None
        return self.source.features

    @model_validator(mode="after")
    def _names_the_texts(self) -> Self:
        if self.source.features is None or len(self.source.features) > 2:
            given = "none" if self.source.features is None else ", ".join(self.source.features)
            raise ValueError(
                f"task.source.features: given {given}; name the one column with the text, or the two of a pair"
            )
        if len(self.texts) == 2 and self.context < 3:
            raise ValueError(
                f"task.context: given {self.context}; a pair and its separator are 3 tokens at least"
            )
        if self.validation == "whole_texts" and (len(self.texts) == 2 or self.source.valid is not None):
            why = (
                "task.source.valid is the validation part"
                if self.source.valid
                else "pairs are no whole texts"
            )
            raise ValueError(f"task.validation: whole_texts, but {why}; leave it out")
        return self


class Classification(ClassTask):
    """Predict the class of a row of numbers."""

    networks: ClassVar = (MLP,)
    engines: ClassVar = (TorchEngine, BatchedEngine, DeepSpeedEngine)
    recalibrations: ClassVar = (*get_args(ClassRecalibration), *get_args(SetRecalibration))
    has_splits: ClassVar = True
    causal: ClassVar = False
    headline: ClassVar = ("nll", "ece", "accuracy")
    beside: ClassVar = ("predictive_entropy", "mutual_information")
    metrics: ClassVar = (*CLASS_METRICS, *beside)
    kind: Literal["classification"] = "classification"
    source: ClassSource = ScikitLearnClasses()
    """`target` of a file names the column with the class."""
    validation_fraction: Fraction = 0.1
    """Share of the training rows that early stopping may look at; the test rows are never in it."""
    unknown: tuple[str, ...] = ()
    """Classes whose rows are left out of all parts; they are predicted beside the test rows, to be told from them."""

    def measured(self, evaluation: Evaluation) -> tuple[str, ...]:
        """Names of all metrics; with unknown classes those of how well they are told."""
        told = _told("confidence", "entropy", "energy", "mutual_information") if self.unknown else ()
        return (*super().measured(evaluation), *told)

    def after(self, method: str, evaluation: Evaluation) -> tuple[str, ...]:
        """Metrics that a recalibration gives: of a prediction set, or all of probabilities anew."""
        return evaluation.sets if method in get_args(SetRecalibration) else super().after(method, evaluation)


class Images(ClassTask):
    """Model images: reconstruct them, complete a missing half, tell what is unlike, and the class if there is one."""

    networks: ClassVar = (Generative,)
    likelihoods: ClassVar = (FreeEnergy,)
    engines: ClassVar = (TorchEngine,)
    has_splits: ClassVar = True
    causal: ClassVar = False
    beside: ClassVar = IMAGE_METRICS
    metrics: ClassVar = (*CLASS_METRICS, *beside)
    without_zero: ClassVar = ("free_energy", "validation_loss", "coverage_")
    kind: Literal["images"] = "images"
    source: ImageSource = ScikitLearnImages()
    validation_fraction: Fraction = 0.1
    """Share of the training images that early stopping may look at; the test images are never in it."""
    unknown: tuple[str, ...] = ()
    """Classes whose images are left out of all parts; they are scored beside the test images, to be told from them."""

    @property
    def headline(self) -> tuple[str, ...]:
        """Metrics that are contrasted when the experiment names none."""
        second = "accuracy" if self.source.labelled else "completion_error"
        return ("free_energy", second, "reconstruction_error")

    @model_validator(mode="after")
    def _has_the_unknown_classes(self) -> Self:
        if self.unknown and not self.source.labelled:
            raise ValueError(
                f"task.unknown: names {', '.join(self.unknown)}, but the images have no classes; name their column in "
                "task.source.target, or leave it out"
            )
        return self

    def measured(self, evaluation: Evaluation) -> tuple[str, ...]:
        """Names of all metrics; coverage is that of missing pixels; with unknown classes how well these are told.

        Of images without classes none of those of classes.
        """
        coverage = tuple(name for name in evaluation.intervals if name.startswith("coverage_"))
        if not self.source.labelled:
            return (*self.beside, "validation_loss", *coverage)
        told = _told("confidence", "entropy", "energy") if self.unknown else ()
        return (*super().measured(evaluation), *coverage, *told)


class Synthetic(ClassTask):
    """Predict what a synthetic source hides, where the best possible prediction is known."""

    has_splits: ClassVar = False
    headline: ClassVar = ("excess_nll", "accuracy", "ece")
    metrics: ClassVar = (*CLASS_METRICS, "excess_nll", "excess_error", "sequence_accuracy")
    without_zero: ClassVar = ("excess_",)
    kind: Literal["synthetic"] = "synthetic"
    source: Synthetics = Copying()
    train: Count = 20_000
    """Sequences of the training part."""
    valid: Count = 1000
    """Sequences that early stopping and temperature may look at."""
    test: Count = 2000
    """Sequences of the test part."""

    @property
    def causal(self) -> bool:
        """Whether a place of a sequence has to be kept from seeing later ones."""
        return self.source.causal

    @property
    def context(self) -> int:
        """Tokens of the longest sequence."""
        return self.source.context

    def measured(self, evaluation: Evaluation) -> tuple[str, ...]:
        """Names of all metrics; where a token tells the target, the attention to it too."""
        of_attention = ("attention_on_cause",) if self.source.has_cause else ()
        return (*super().measured(evaluation), *of_attention)


class Tagging(ClassTask):
    """Predict the tag of every word of a sentence."""

    has_splits: ClassVar = True
    causal: ClassVar = False
    headline: ClassVar = ("nll", "ece", "accuracy")
    kind: Literal["tagging"] = "tagging"
    source: ConlluFile
    column: Literal["upos", "xpos"] = "upos"
    """Column of the tags: the universal ones or those of the language; a word with `_` there is read, not predicted."""
    tokens: WordTokens = HashedWords()
    context: Count = 128
    """Words of the longest sequence."""
    too_long: TooLong = "cut"
    """cut: a longer sentence becomes several sequences of at most `context` words."""
    validation: Literal["sentences", "documents"] = "sentences"
    """Where no file has the validation part. sentences: drawn among the training sentences. documents: whole documents,
    as the file's `# newdoc` lines tell them; sentences of one document share words that those of another have not."""
    validation_fraction: Fraction = 0.1
    """Share of the training sentences that early stopping may look at; the test sentences are never in it."""

    @model_validator(mode="after")
    def _draws_the_documents(self) -> Self:
        if self.validation == "documents" and self.source.valid is not None:
            raise ValueError(
                "task.validation: documents, but task.source.valid is the validation part; leave it out"
            )
        return self


class Objects(Config):
    """Group the pixels of images by the objects that they are of, without a label."""

    networks: ClassVar = (Slots, Clusters)
    likelihoods: ClassVar = (FreeEnergy,)
    engines: ClassVar = (TorchEngine,)
    recalibrations: ClassVar[tuple[str, ...]] = ()
    has_splits: ClassVar = False
    causal: ClassVar = False
    predicts_tokens: ClassVar = False
    headline: ClassVar = ("adjusted_rand_index",)
    metrics: ClassVar = ("adjusted_rand_index", "validation_loss")
    without_zero: ClassVar = ("validation_loss",)
    kind: Literal["objects"] = "objects"
    source: DrawnObjects = DrawnObjects()
    train: Count = 1000
    """Images of the training part."""
    valid: Count = 100
    """Images that early stopping may look at."""
    test: Count = 200
    """Images of the test part."""

    def measured(self, evaluation: Evaluation) -> tuple[str, ...]:  # noqa: ARG002 - nothing is recalibrated
        """Names of all metrics."""
        return self.metrics


class Planning(Config):
    """Act in a world that is seen in part: episodes whose chances follow from (seed, split, episode)."""

    networks: ClassVar = (Agent,)
    likelihoods: ClassVar = (ExpectedFreeEnergy,)
    engines: ClassVar = (TorchEngine,)
    recalibrations: ClassVar[tuple[str, ...]] = ()
    has_splits: ClassVar = False
    causal: ClassVar = False
    predicts_tokens: ClassVar = False
    headline: ClassVar = ("reward", "success", "information")
    metrics: ClassVar = PLANNING_METRICS
    without_zero: ClassVar[tuple[str, ...]] = ()
    kind: Literal["planning"] = "planning"
    source: Worlds = TMaze()
    train: Count = 200
    """Episodes that an agent learns from, each as often as `training` asks for."""
    valid: Count = 100
    """Episodes whose surprise, -ln p(o), is the validation loss."""
    test: Count = 1000
    """Episodes that are scored."""

    def measured(self, evaluation: Evaluation) -> tuple[str, ...]:  # noqa: ARG002 - every evaluation measures them
        """Names of all metrics."""
        return self.metrics


Task = Annotated[
    Regression
    | NextToken
    | SequenceClassification
    | Classification
    | Images
    | Tagging
    | Synthetic
    | Planning
    | Objects,
    Field(discriminator="kind"),
]
