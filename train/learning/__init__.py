"""The training loop: batches in, weights out. It does not depend on where chips come from or where weights go."""
