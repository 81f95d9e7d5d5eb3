"""The backbones, one CNN per file. A backbone maps (n, 3, height, width) to the last map, mostly pooled to 1x1."""
