"""Renders templates and validates what it rendered."""

from rbacguard.manifests.bundle import (
    Bundle,
    GenerateStrategy,
    Request,
    delivery_warnings,
    make_bundle,
    step_of,
)
from rbacguard.manifests.contents import Delivery, Layout
from rbacguard.manifests.cronjob import CronJob, Publish
from rbacguard.manifests.permissions import permission_manifests
from rbacguard.manifests.render import merged_approvals, render_approvals

__all__ = [
    "Bundle",
    "CronJob",
    "Delivery",
    "GenerateStrategy",
    "Layout",
    "Publish",
    "Request",
    "delivery_warnings",
    "make_bundle",
    "merged_approvals",
    "permission_manifests",
    "render_approvals",
    "step_of",
]
