"""From folders of photos to aligned chips that a training reads: each face is found once."""
