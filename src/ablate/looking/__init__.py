"""Recorded runs, by themselves or beside others, and what may follow: ``show``, ``compare``, ``next``."""
