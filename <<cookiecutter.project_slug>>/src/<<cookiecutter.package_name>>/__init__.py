"""What is yours: features, estimators, metrics, and steps around the served model."""
