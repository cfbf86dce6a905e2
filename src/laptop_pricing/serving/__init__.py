"""Prices over the network. Neither pandas, scikit-learn nor MLflow is needed."""
