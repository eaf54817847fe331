"""Scoring files with the model, and the reasons for an answer."""
