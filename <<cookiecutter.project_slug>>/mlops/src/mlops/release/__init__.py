"""Releases and environments: what runs where is a file in Git that changes by checked copies."""
