"""Chips changed on purpose, so that what is learnt holds for other photos of the same people."""
