"""Tests of the LlamaIndex subpackage."""
