"""Fit, evaluate, store and use the model."""
