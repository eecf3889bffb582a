"""Schemas of Kubernetes objects."""
