"""Predictions over HTTP: the REST API and the web form."""
