"""Figures out of stored records. Of `study` it knows the schema, the parts and the methods."""
