"""Prepare, train, sample, evaluate: each takes a run's keys and fills its place in the store.

``prepare`` does the work. ``prepared`` reads what it wrote and says what its key is made of, without torch:
``ingredients``, the ``SOURCES`` and the ``LIBRARIES`` that decide what is computed. The others likewise.
"""
