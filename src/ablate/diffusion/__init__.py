"""Pure torch: the U-Net, noise, samplers, randomness. Knows no YAML and no files."""
