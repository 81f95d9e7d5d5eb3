"""Losses: metric losses (distance, miner and reducer), classification losses and distillation."""
