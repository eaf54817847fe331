"""GitHub, set up as a file of this repository says: rules, environments, labels, variables."""
