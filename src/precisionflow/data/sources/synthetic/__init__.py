"""Synthetic sequences, one file for each source, with the exact probability of every target."""

from typing import assert_never

from precisionflow.config import synthetic as kinds
from precisionflow.data.sources.synthetic import unifilar
from precisionflow.data.sources.synthetic.copying import copying
from precisionflow.data.sources.synthetic.cueing import cueing
from precisionflow.data.sources.synthetic.drawn import Source
from precisionflow.data.sources.synthetic.recall import recall
from precisionflow.data.sources.synthetic.urns import urns


def open_synthetic(source: kinds.Synthetics) -> Source:
    """The source of a configuration."""
    match source:
        case kinds.Copying():
            return copying(source)
        case kinds.Ngrams():
            return unifilar.source_of(unifilar.ngrams(source), source)
        case kinds.Brackets():
            return unifilar.source_of(unifilar.brackets(source), source)
        case kinds.Urns():
            return urns(source)
        case kinds.Recall():
            return recall(source)
        case kinds.Cueing():
            return cueing(source)
        case _:
            assert_never(source)
