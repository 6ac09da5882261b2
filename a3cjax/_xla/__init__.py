"""What the compilers need."""
