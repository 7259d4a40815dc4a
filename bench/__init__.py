"""The race: the harness against what others would use, the same work on the same machine."""
