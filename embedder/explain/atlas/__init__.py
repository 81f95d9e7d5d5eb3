"""The traits that each channel correlates with, measured on photos of many people; it contains no photo."""
