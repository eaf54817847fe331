"""Monitoring: what a model sees and how well it does where it runs, against what it was made of."""
