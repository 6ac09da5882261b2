"""The histories: what is kept of the past, so that every update is made from the version that its worker had read."""
