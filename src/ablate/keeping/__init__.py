"""Housekeeping, a file for each command: what runs, what can go, what is sound, and a study as one file."""
