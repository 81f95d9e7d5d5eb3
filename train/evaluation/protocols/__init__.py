"""Readers of evaluation protocols, one format per file. Every reader returns a `Protocol`."""
