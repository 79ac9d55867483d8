"""Tests of `parallel_integrations`; `python -m pytest` runs them with no key and no network."""
