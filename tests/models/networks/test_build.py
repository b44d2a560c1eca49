"""The network of each task: what it takes and what it states."""

import pytest
import torch
from cards import card

from precisionflow.config import Experiment, resolve
from precisionflow.models.likelihoods.adaptive import ClusteredLogits
from precisionflow.models.networks.adaptive import AdaptiveReadout, TiedAdaptiveReadout
from precisionflow.models.networks.build import build, features_of
from precisionflow.models.networks.transformer import PooledReadout, TiedReadout, TokenReadout

CONTEXT, FEATURES, TOKENS, BUCKETS, CLASSES = 6, 4, 9, 5, 3
SMALL = {"kind": "transformer", "blocks": 1, "heads": 2, "width": 8}


def experiment(task: dict, model: dict, objective: str | dict, **more: object) -> Experiment:
    objective = {"kind": objective} if isinstance(objective, str) else objective
    return resolve({"name": "b", "task": task, "model": model, "objective": objective} | more)


def built(described: Experiment) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(described, card(features=FEATURES, tokens=TOKENS, buckets=BUCKETS, classes=CLASSES)).eval()


def ids(largest: int) -> torch.Tensor:
    """Two texts, the largest id among them."""
    return torch.arange(2 * CONTEXT).view(2, CONTEXT).flip(1) * 7 % largest


def test_every_id_of_a_vocabulary_has_an_embedding():
    made = built(experiment({"kind": "next_token", "context": CONTEXT}, SMALL, "cross_entropy"))
    assert made.layers[0].tokens.num_embeddings == card(tokens=TOKENS, buckets=BUCKETS).known.ids >= TOKENS


@pytest.mark.parametrize(
    ("tied", "objective", "kind"),
    [
        (True, "cross_entropy", TiedReadout),
        (False, "cross_entropy", TokenReadout),
        (True, {"kind": "adaptive_softmax", "cutoffs": [4]}, TiedAdaptiveReadout),
        (False, {"kind": "adaptive_softmax", "cutoffs": [4]}, AdaptiveReadout),
    ],
)
def test_a_next_token_is_read_by_the_embedding_or_by_weights_of_its_own(tied, objective, kind):
    task = {"kind": "next_token", "context": CONTEXT, "tokens": {"kind": "words"}}
    made = built(experiment(task, SMALL | {"tied_readout": tied}, objective))
    count = made.layers[0].tokens.num_embeddings
    assert isinstance(made.readout, kind)
    output = made(ids(count))
    stated = output.log_probabilities() if isinstance(output, ClusteredLogits) else output
    assert stated.shape == (2, CONTEXT, count)


TEXTS = {"kind": "table_file", "path": "x.tsv", "target": "label", "features": ["text"]}
POOLED, TAGGED = (PooledReadout, (2, CLASSES)), (TokenReadout, (2, CONTEXT, CLASSES))


@pytest.mark.parametrize(
    ("task", "stated"),
    [
        ({"kind": "sequence_classification", "source": TEXTS, "context": CONTEXT}, POOLED),
        ({"kind": "tagging", "source": {"kind": "conllu", "path": "x"}, "context": CONTEXT}, TAGGED),
        ({"kind": "synthetic", "source": {"kind": "urns", "length": CONTEXT}}, POOLED),
        ({"kind": "synthetic", "source": {"kind": "ngrams", "length": CONTEXT}}, TAGGED),
    ],
    ids=lambda of: of["kind"] if isinstance(of, dict) else "",
)
def test_texts_and_tokens_get_a_logit_of_every_class(task, stated):
    made = built(experiment(task, SMALL, "cross_entropy"))
    kind, shape = stated
    assert isinstance(made.readout, kind)
    assert made(ids(TOKENS)).shape == shape


def test_what_is_learned_beside_is_stated_while_training_alone():
    """Its weights change nothing of what is stated of the tags."""
    task = {"kind": "tagging", "source": {"kind": "conllu", "path": "x"}, "context": CONTEXT}
    auxiliary = {"xpos": ("A", "B"), "feats": ("_", "C", "D", "E")}
    described = experiment(task | {"auxiliary": {"feats": 0.5, "xpos": 2}}, SMALL, "cross_entropy")
    torch.manual_seed(0)
    data = card(tokens=TOKENS, buckets=BUCKETS, classes=CLASSES).model_copy(update={"auxiliary": auxiliary})
    made = build(described, data)
    torch.nn.init.normal_(made.readout.classes.weight)
    taught, stated = made(ids(TOKENS)), made.eval()(ids(TOKENS))
    assert [of.shape for of in taught.auxiliary] == [(2, CONTEXT, 4), (2, CONTEXT, 2)]
    assert taught.factors == [0.5, 2.0]
    torch.testing.assert_close(stated, taught.logits)
    assert stated.shape == (2, CONTEXT, CLASSES)


@pytest.mark.parametrize(
    ("model", "outputs"),
    [
        ({"kind": "mlp", "hidden": [5]}, 2),
        ({"kind": "fusion", "sources": 2, "length": 2}, 2),
        (SMALL, 2),
    ],
    ids=lambda of: of["kind"] if isinstance(of, dict) else "",
)
def test_a_number_gets_what_its_density_asks_for(model, outputs):
    source = {"kind": "scikit_learn", "name": "diabetes"}
    if model["kind"] == "transformer":
        source = {"kind": "node_chain", "nodes": 4, "channels": 2, "rank": 1}
    task = {"kind": "regression", "source": source}
    described = experiment(task, model, "gaussian_nll")
    made = built(described)
    assert made(torch.randn(7, FEATURES)).shape == (7, outputs)
    if model["kind"] == "transformer":
        assert list(made.states) == [(described.task.context, 8)] * 3


def test_a_row_of_a_table_gets_a_logit_of_every_class():
    task = {"kind": "classification", "source": {"kind": "scikit_learn_classes", "name": "digits"}}
    made = built(experiment(task, {"kind": "mlp", "hidden": [5]}, "cross_entropy"))
    assert made(torch.randn(7, FEATURES)).shape == (7, CLASSES)


def test_beliefs_are_no_layers():
    task = {"kind": "regression", "source": {"kind": "scikit_learn", "name": "diabetes"}}
    with pytest.raises(TypeError, match="beliefs about weights are no network of layers"):
        built(experiment(task, {"kind": "tagi_v"}, "gaussian_nll", engine={"kind": "batched"}))


def test_features_are_counted():
    assert features_of(card(features=5)) == 5
