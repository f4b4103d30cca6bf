"""Text for people: to the terminal and to logs."""
