"""The figures that samples are measured with."""
