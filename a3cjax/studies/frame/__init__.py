"""What all studies share: how runs are laid out, told, counted, tabulated and drawn."""
