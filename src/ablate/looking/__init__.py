"""Plans and recorded runs, by themselves or beside others: warnings, ``show``, ``compare``, ``next``."""
