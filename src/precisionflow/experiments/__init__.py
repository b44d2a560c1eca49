"""The shipped experiments: one YAML file each, addressed by name."""
