"""Trains and checks kits: the small frozen parts that experiments on a CPU use."""
