"""Caption data sets in the published task's format, and the generator of sprites."""
