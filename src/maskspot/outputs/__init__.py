"""What is written of scores, and how."""
