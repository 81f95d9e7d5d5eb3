"""The traits that each of the 128 channels correlates with, measured on photos of many people; it contains no photo."""
