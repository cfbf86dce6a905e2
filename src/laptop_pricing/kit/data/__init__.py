"""Files -> typed, validated table; its folds and its hold-out; the synthetic sample."""
