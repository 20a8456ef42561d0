"""Pure torch: models, losses, schedules, samplers. Knows no YAML and no files."""
