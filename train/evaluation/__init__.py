"""How good is a model? Measured error rates with intervals, thresholds by error rate, a probability that means it."""
