"""The machinery of a project: it knows no dataset and no estimator, and gets both as arguments."""
