"""Data: the contract, how values are read, and what must hold of rows."""
