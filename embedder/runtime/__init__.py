"""The libraries that run networks, behind one small protocol of numpy arrays."""
