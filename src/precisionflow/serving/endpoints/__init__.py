"""Endpoints of a served model: columns in, columns out; what each kind of model is asked for."""
