"""What people read: the comment, the terminal, the page of monitoring. Commands alone import it."""
