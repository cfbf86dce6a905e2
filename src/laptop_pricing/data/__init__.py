"""From a source to a validated table, and how its rows are divided."""
