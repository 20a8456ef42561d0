"""Runs a plan: its tasks and the walk over them, their executors, the rounds of Optuna's studies."""
