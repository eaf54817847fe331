"""What makes numbers doubtful although every check passes: of the data, and of the answers."""
