"""What REST and the dock's pages read. Queries run here and nowhere above."""
