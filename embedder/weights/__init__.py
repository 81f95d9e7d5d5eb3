"""Weights and model cards: the card, the bundle on disk, and the readers of dlib's and SFace's files."""
