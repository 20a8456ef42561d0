"""Captioned images: the formats they are read from, their decoding, and the generator of sprites."""
