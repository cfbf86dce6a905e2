"""The problem and the model here, the machinery in kit."""
