"""What everything else stands on: checks, pytrees, files, the terminal. Imports nothing of the package."""
