"""Networks, assembled from bricks."""
