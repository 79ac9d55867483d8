"""Evaluation of answers and searches by facts and their evidence.

A question has facts that a right answer states. `evaluate` puts the questions to anything that
answers, and says which facts are supported by a cited passage, stated without one, missing though
they were retrieved, or missing because they were not; `tune_search` compares settings of a search
by the facts that its excerpts hold and by what they cost. Nothing is uploaded anywhere.
"""

from parallel_integrations._lazy import names_of_stub

__getattr__, __all__ = names_of_stub(__name__)
