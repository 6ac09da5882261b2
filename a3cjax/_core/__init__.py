"""What everything else stands on: checks, pytrees, files."""
