"""Learns weights and measures them; stands on the embedder, and nothing stands on it."""
