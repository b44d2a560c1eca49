"""Networks, assembled from layers and a readout."""
