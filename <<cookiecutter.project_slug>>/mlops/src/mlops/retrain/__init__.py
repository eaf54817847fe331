"""Fresh data, and when training on it may start."""
