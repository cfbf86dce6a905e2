"""Price used laptops: from the raw CSV to a validated table, a Ridge model and tracked runs."""

NAME = "laptop-pricing"  # the command's
