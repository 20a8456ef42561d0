"""What an experiment asks for: the YAML, its profiles, and the configuration of each variant."""
