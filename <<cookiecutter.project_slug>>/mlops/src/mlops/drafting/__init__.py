"""Drafting the files of a project from a data set or a standard's contract."""
