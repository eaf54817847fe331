"""Judging: is a model good enough, and better, the same or worse than another?"""
