"""Runs that somebody names, looked at by themselves or beside others: ``show`` and
``compare``; and what may follow: ``next``."""
