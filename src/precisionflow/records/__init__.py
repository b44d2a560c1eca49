"""The files that pass between stages: schemas, cards, metrics, reading and writing."""
