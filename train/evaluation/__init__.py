"""Evaluation of models: error rates with intervals, thresholds by error rate, and calibrated probabilities."""
