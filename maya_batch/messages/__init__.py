"""Text for people, on the terminal and in logs."""
