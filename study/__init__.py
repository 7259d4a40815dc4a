"""A systematic study of class imbalance: a grid in, records out."""

__version__ = "0.1.0"
