"""Data preparation: from folders of photos to the aligned chips of a training."""
