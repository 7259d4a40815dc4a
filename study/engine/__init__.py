"""The training loop and what it is made of: recipe, rates, update rules, losses, index streams."""
