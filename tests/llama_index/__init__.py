"""Tests of the LlamaIndex room."""
