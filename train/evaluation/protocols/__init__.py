"""The rules by which photos are compared, one kind a file. Every reader ends in a `Protocol`."""
