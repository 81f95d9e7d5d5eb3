"""Fitting what gives every pair a threshold of its own: neighbourhoods of a cohort, and what a poor photo costs."""
