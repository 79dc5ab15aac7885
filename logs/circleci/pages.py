"""Pages of CircleCI's web app."""

import re

# A URL of another form may have a query, or lead to another page.
_WORKFLOW = re.compile(r"https?://[^/?#\s]+(/[^/?#\s]+)*/workflows/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/?")


def job_page(workflow_url: str, job_number: int | None) -> str:
    """Return the URL of a job's page; `workflow_url` if its form or the job's number is unknown."""
    if not job_number or not _WORKFLOW.fullmatch(workflow_url):
        return workflow_url
    return f"{workflow_url.removesuffix('/')}/jobs/{job_number}"
