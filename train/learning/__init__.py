"""The loop: batches in, weights out. Knows nothing of where chips come from or what becomes of the weights."""
