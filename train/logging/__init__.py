"""What a run shows while it goes on, and what it leaves to be read: lines, tables, curves."""
