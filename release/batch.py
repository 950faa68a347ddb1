"""Where models that earlier versions registered look for their code: MLflow keeps `from release.batch import ...` with
each of them. New code imports `release.answering.batch`.
"""

from release.answering.batch import BatchRecommender

__all__ = ["BatchRecommender"]
