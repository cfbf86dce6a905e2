"""Price used laptops: the problem and the model here, the machinery in kit."""
