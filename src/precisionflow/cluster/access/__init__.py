"""Access to a cluster: connection, errors, names, objects, pods. It knows nothing of experiments."""
