"""The claims of the paper, as checks that records can pass or fail."""
