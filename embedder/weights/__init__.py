"""Weights and the facts that travel with them: the card, the bundle on disk, the reader of dlib's file."""
