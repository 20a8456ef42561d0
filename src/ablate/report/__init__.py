"""From an experiment's record to a report: results → sections → blocks → formats."""
