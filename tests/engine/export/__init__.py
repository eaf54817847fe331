"""Models for other machines than a server, run on them."""
