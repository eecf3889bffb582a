"""Validation of Kubernetes manifests as the API server performs it."""

from rbacguard.validation.manifest import Problem, problems
from rbacguard.validation.schemas import schema_version

__all__ = ["Problem", "problems", "schema_version"]
