"""Runs a plan: its tasks and the walk over them, the executors that do them, the rounds of Optuna's studies."""
