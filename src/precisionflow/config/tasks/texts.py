"""Tasks of sequences: next token, class of a text, tags of its words, what a synthetic source hides."""

from typing import ClassVar, Literal, Self, get_args

from pydantic import model_validator

from precisionflow.config.base import Count, Fraction, Positive
from precisionflow.config.evaluation import ClassRecalibration, Evaluation, SetRecalibration
from precisionflow.config.external import LogisticRegression, PredictionFile
from precisionflow.config.likelihoods import ClassObjective
from precisionflow.config.networks import Transformer
from precisionflow.config.source import Splits
from precisionflow.config.sources import ConlluFile, ScikitLearnText, TableFile, TextSource
from precisionflow.config.synthetic import Copying, Synthetics
from precisionflow.config.tasks.classes import CLASS_METRICS, PARTS_OF_ENTROPY, ClassTask
from precisionflow.config.tokens import Characters, HashedWords, RunningTokens, Tokens, Words, WordTokens

TooLong = Literal["refuse", "cut"]
"""What becomes of a text with more tokens than the context: an error, or it is cut, counted and told."""
Tag = Literal["upos", "xpos"]
"""Columns of CoNLL-U that can be predicted."""
Auxiliary = Literal["upos", "xpos", "feats", "deprel"]
"""Columns of CoNLL-U that can be learned beside the tags."""


class NextToken(ClassTask):
    """Predict the next token of a text."""

    likelihoods: ClassVar = get_args(ClassObjective)
    several_splits: ClassVar[Splits] = "none"
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

    networks: ClassVar = (Transformer, LogisticRegression, PredictionFile)
    recalibrations: ClassVar = (*get_args(ClassRecalibration), *get_args(SetRecalibration))
    several_splits: ClassVar[Splits] = "cut"
    causal: ClassVar = False
    headline: ClassVar = ("nll", "ece", "accuracy")
    beside: ClassVar = PARTS_OF_ENTROPY
    metrics: ClassVar = (*CLASS_METRICS, *beside)
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
    other training text holds word for word; what stands inside validation texts alone is then in no part. For texts
    that are phrases of each other."""
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


class Synthetic(ClassTask):
    """Predict what a synthetic source hides, where the best possible prediction is known."""

    several_splits: ClassVar[Splits] = "none"
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
        of_attention = ("attention_on_cause", "attended_keys") if self.source.has_cause else ()
        return (*super().measured(evaluation), *of_attention)


class Tagging(ClassTask):
    """Predict the tag of every word of a sentence."""

    networks: ClassVar = (Transformer, LogisticRegression, PredictionFile)
    several_splits: ClassVar[Splits] = "cut"
    causal: ClassVar = False
    headline: ClassVar = ("nll", "ece", "accuracy")
    beside: ClassVar = PARTS_OF_ENTROPY
    metrics: ClassVar = (*CLASS_METRICS, *beside)
    kind: Literal["tagging"] = "tagging"
    source: ConlluFile
    column: Tag = "upos"
    """Column of the tags: the universal ones or those of the language; a word with `_` there is read, not predicted."""
    tokens: WordTokens = HashedWords()
    sequences: Literal["sentences", "documents"] = "sentences"
    """What the network sees at once. documents: as many sentences of one document (`# newdoc`), in their order, as fit
    into the context, with a separator between them, so that a word is read beside where it stands elsewhere."""
    context: Count = 128
    """Words of the longest sequence, separators too."""
    too_long: TooLong = "cut"
    """cut: a longer sentence becomes several sequences of at most `context` words."""
    auxiliary: dict[Auxiliary, Positive] = {}
    """Further columns that the network learns beside the tags, each with the factor of its cross-entropy (Caruana
    1997); deprel without its subtype. Nothing is evaluated of them."""
    validation: Literal["sentences", "documents"] = "sentences"
    """Where no file has the validation part. sentences: drawn among the training sentences. documents: whole documents,
    as the file's `# newdoc` lines tell them; sentences of one document share words that those of another have not."""
    validation_fraction: Fraction = 0.1
    """Share of the training sentences that early stopping may look at; the test sentences are never in it."""

    @model_validator(mode="after")
    def _learns_other_columns_beside(self) -> Self:
        if self.column in self.auxiliary:
            raise ValueError(f"task.auxiliary: {self.column} is task.column already; leave it out")
        return self

    @model_validator(mode="after")
    def _draws_the_documents(self) -> Self:
        if self.validation == "documents" and self.source.valid is not None:
            raise ValueError(
                "task.validation: documents, but task.source.valid is the validation part; leave it out"
            )
        return self
