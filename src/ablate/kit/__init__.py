"""Trains and checks kits: the small frozen parts that experiments on a CPU stand on."""
