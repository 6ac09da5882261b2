"""What the compilers need, so that the mathematics above need not know of it. Imports ``_core`` only."""
