"""The admin's pages for pipelines."""

from logs.admin.pipelines.admin import PipelineAdmin

__all__ = ["PipelineAdmin"]
