"""Classification sets that scikit-learn ships inside its wheel: no download."""

from precisionflow.config.sources import ScikitLearnClasses, ScikitLearnImages
from precisionflow.data.table import Table, table_of


def open_scikit_learn_classes(
    source: ScikitLearnClasses | ScikitLearnImages, *, split: int
) -> tuple[Table, dict[int, str]]:
    """The whole set, cut by `cut_rows`, and the class of every row; targets are places of the sorted classes."""
    import numpy as np
    from sklearn import datasets

    loaded = {
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
        "breast_cancer": datasets.load_breast_cancer,
        "digits": datasets.load_digits,
    }[source.name]()
    labels = [str(loaded.target_names[i]) for i in loaded.target]
    index = {label: i for i, label in enumerate(sorted(set(labels)))}
    values = np.column_stack([loaded.data, [index[label] for label in labels]]).astype(np.float64)
    table = table_of(
        values,
        origin=f"scikit-learn {source.name}",
        features=tuple(map(str, loaded.feature_names)),
        target="class",
        cut=source.split,
        split=split,
    )
    return table, dict(enumerate(labels))
