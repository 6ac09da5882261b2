"""What everything else stands on: checks, pytrees, files, intervals, the terminal. Imports nothing of the package."""
