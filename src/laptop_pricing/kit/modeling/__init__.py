"""Table -> model, its evidence, its bundle, its predictions."""
