"""The part of ``pipeline`` that describes the source code; each host fills it differently.

Source: https://circleci.com/docs/reference/outbound-webhooks-reference/ (read 2026-08-20): GitHub OAuth and Bitbucket
Cloud fill "vcs"; the other hosts fill "trigger_parameters".
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

from logs.circleci.samples.run import ORGANIZATION, Host, Run, lasting_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """The commit that a run builds."""

    run: Run
    revision: str
    created_at: datetime  # When the pipeline and the commit were created.

    @property
    def ref(self) -> str:
        """The full name of the tag or branch."""
        return f"refs/tags/{self.run.tag}" if self.run.tag else f"refs/heads/{self.run.branch}"

    @property
    def email(self) -> str:
        """The author's e-mail address, in a reserved domain."""
        return f"{self.run.author.lower().replace(' ', '.')}@acme.example"

    @property
    def repository(self) -> str:
        """The organisation and the repository."""
        return f"{ORGANIZATION}/{self.run.project}"


def random_push(random: Random, run: Run, created_at: datetime) -> Push:
    """Return a push for a run, with a random commit."""
    return Push(run=run, revision=f"{random.getrandbits(160):040x}", created_at=created_at)


def trigger_type(run: Run) -> str:
    """Return the value of ``pipeline.trigger.type``."""
    if run.by_api:
        return "api"
    return "webhook" if run.host in (Host.GITHUB_OAUTH, Host.BITBUCKET_CLOUD) else str(run.host)


def source_of(push: Push) -> dict[str, Any]:
    """Return ``{"vcs": …}`` or ``{"trigger_parameters": …}``, depending on the run's host."""
    return _SOURCES[push.run.host](push)


def iso(time: datetime) -> str:
    """Return a time in CircleCI's format: UTC, with microseconds and a Z."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _go_time(time: datetime) -> str:
    """Return a time in the format of Go's ``Time.String``, which omits trailing zeros in the fraction."""
    fraction = f"{time.microsecond:06d}".rstrip("0")
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") + (f".{fraction}" if fraction else "") + " +0000 UTC"


def _github_oauth(push: Push) -> dict[str, Any]:
    return {"vcs": _vcs(push, "github", "https://github.com")}


def _bitbucket_cloud(push: Push) -> dict[str, Any]:
    return {"vcs": _vcs(push, "bitbucket", "https://bitbucket.org")}


def _vcs(push: Push, provider: str, site: str) -> dict[str, Any]:
    url = f"{site}/{push.repository}"
    return {
        "provider_name": provider,
        "origin_repository_url": url,
        "target_repository_url": url,
        "revision": push.revision,
        "commit": _commit(push),
        # Null is the only trace of a pushed tag: CircleCI does not send its name.
        "branch": None if push.run.tag else push.run.branch,
    }


def _commit(push: Push) -> dict[str, Any]:
    """Return the commit; all of its values are null if the pipeline was started through the API."""
    known = not push.run.by_api
    person = {"name": push.run.author if known else None, "email": push.email if known else None}
    time = iso(push.created_at) if known else None
    return {
        "subject": push.run.commit_subject if known else None,
        "body": "" if known else None,
        "author": person,
        "committer": dict(person),
        "authored_at": time,
        "committed_at": time,
    }


def _gitlab(push: Push) -> dict[str, Any]:
    run = push.run
    block = _provider_block(push) | {
        "type": "tag_push" if run.tag else "push",
        "tag": run.tag or "",
        "checkout_sha": push.revision,
        "ref": push.ref,
        "web_url": f"https://gitlab.com/{push.repository}",
        "project_id": str(int(lasting_id("gitlab", run.project)[:6], 16)),
        "total_commits_count": "1",
        "default_branch": "",
        "x_gitlab_event_id": "",
        "is_fork_merge_request": False,
    }
    git = _git(push, f"git@gitlab.com:{push.repository}.git") | {"tag": run.tag or ""}
    return _trigger_parameters(push, iso(push.created_at), git, gitlab=block)


def _github_app(push: Push) -> dict[str, Any]:
    block = _provider_block(push) | {
        "owner": ORGANIZATION,
        "ref": push.run.tag or push.run.branch,
        "full_ref": push.ref,
        "forced": "false",
    }
    # There is no "tag": only the refs name a pushed tag.
    git = _git(push, f"https://github.com/{push.repository}.git")
    return _trigger_parameters(push, _go_time(push.created_at), git, github_app=block)


def _bitbucket_dc(push: Push) -> dict[str, Any]:
    git = _git(push, f"ssh://git@bitbucket.acme.example:7999/{push.repository}.git") | {"tag": ""}
    return _trigger_parameters(push, _go_time(push.created_at), git)


def _trigger_parameters(push: Push, event_time: str, git: dict[str, Any], **provider: Any) -> dict[str, Any]:
    circleci = {
        "event_time": event_time,
        "event_type": "create pipeline run api" if push.run.by_api else "push",
        "trigger_type": str(push.run.host),
        "actor_id": lasting_id("actor", push.run.author),
        "provider_actor_id": lasting_id("provider actor", push.run.author),
    }
    return {"trigger_parameters": {"circleci": circleci, "git": git, **provider}}


def _git(push: Push, checkout_url: str) -> dict[str, Any]:
    return {
        "checkout_sha": push.revision,
        "checkout_url": checkout_url,
        "ref": push.ref,
        "branch": "" if push.run.tag else push.run.branch,
        "repo_name": push.run.project,
        "default_branch": "main",
    }


def _provider_block(push: Push) -> dict[str, Any]:
    """Return the fields that the GitLab and GitHub App blocks share; missing values are empty, not null."""
    known = not push.run.by_api
    author, subject = (push.run.author, push.run.commit_subject) if known else ("", "")
    return {
        "branch": "" if push.run.tag else push.run.branch,
        "commit_sha": push.revision,
        "commit_title": subject,
        "commit_message": subject,
        "commit_timestamp": iso(push.created_at) if known else "",
        "commit_author_name": author,
        "commit_author_email": push.email if known else "",
        "user_name": author,
        "user_username": author.lower().replace(" ", "-"),
        "repo_name": push.run.project,
        "repo_url": "",
    }


# fmt: off
_SOURCES: dict[Host, Callable[[Push], dict[str, Any]]] = {
    Host.GITHUB_OAUTH:    _github_oauth,
    Host.BITBUCKET_CLOUD: _bitbucket_cloud,
    Host.GITLAB:          _gitlab,
    Host.GITHUB_APP:      _github_app,
    Host.BITBUCKET_DC:    _bitbucket_dc,
}
# fmt: on
