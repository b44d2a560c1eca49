"""What is believed about the weights, and the distributions that follow from it."""
