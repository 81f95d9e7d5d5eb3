"""Logging of a run: progress on stderr, CSV logs and training curves."""
