"""Prepare, train, sample, evaluate: each takes a run's keys and fills its place in the store."""
