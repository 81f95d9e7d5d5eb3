"""The trunks, one CNN a file. A backbone maps (n, 3, height, width) to the pooled map (n, out_channels, 1, 1)."""
