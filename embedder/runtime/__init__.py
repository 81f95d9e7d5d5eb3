"""How a network runs, behind one small protocol of numpy arrays."""
