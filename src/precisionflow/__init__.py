"""precisionflow: experiments on learned precision, from one YAML file to a table with intervals."""

__version__ = "0.1.0"
