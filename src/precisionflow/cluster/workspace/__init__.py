"""Workspace: the volume that holds raw data sets and what the nodes of a TrainJob share."""
