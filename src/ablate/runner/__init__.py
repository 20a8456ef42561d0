"""Runs a plan: the Optuna study, the executor, the recorder."""
