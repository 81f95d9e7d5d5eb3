"""A training run, from its run file to its bundle: folder, setup, training loop and final evaluation."""
