"""Responses as the live service printed them, and samples in the same shapes."""
