"""Is a run still learning, or have its embeddings collapsed?"""
