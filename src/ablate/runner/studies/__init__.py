"""Optuna's studies: of a fixed design and of a search, who proposes and prunes, and the dashboard."""
