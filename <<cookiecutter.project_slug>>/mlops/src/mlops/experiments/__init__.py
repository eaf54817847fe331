"""Experiments: what was tried, what came of it, and what was concluded."""
