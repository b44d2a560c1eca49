"""The cluster's API: connection, errors, names."""
