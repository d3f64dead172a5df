"""The two offline commands: measure a ratings file, or find its consensus, with no database and no project."""
