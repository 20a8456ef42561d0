"""Runs that somebody names, looked at by themselves or beside others: ``ablate show`` and ``compare``."""
