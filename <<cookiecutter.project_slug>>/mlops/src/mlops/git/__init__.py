"""What Git, DVC and the manifest say of the project at a commit."""
