"""Enrichment inside the workers of Dask, Ray Data and Spark."""
