"""What a network is trained by: terms of distance x miner x reducer, classifications, and a teacher's embeddings."""
