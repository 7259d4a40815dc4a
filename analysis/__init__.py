"""Figures, statistics and verdicts out of stored records.

Of `study` it knows the schema, the parts and the methods.
"""

from analysis.records import load

__all__ = ["load"]
