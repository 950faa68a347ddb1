"""Candidate generators: each proposes items for a person, all behind the promise in base.py."""

from recommender.generators.base import Generator
from recommender.generators.sets import GeneratorSet, fit_generators, load_generators, save_generators
from recommender.proposals import Proposals

__all__ = ["Generator", "GeneratorSet", "Proposals", "fit_generators", "load_generators", "save_generators"]
