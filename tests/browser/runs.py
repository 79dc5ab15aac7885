"""Payloads that belong together: a workflow that ended, and the jobs that ended before it."""

from datetime import timedelta

from logs.circleci import samples
from logs.circleci.samples.mix import AUTHORS, BRANCH_WEIGHTS, PROJECT_HOSTS, SUBJECTS, WORKFLOW_JOBS

FAILING_PROJECT, FAILING_WORKFLOW, FAILING_JOB = "harbour-web", "build-and-test", "unit-tests"
BAD_COMMIT, BAD_AUTHOR = "Paint the lighthouse – again", "Ottokar Brandt"
# What a page that does not escape would run, or be changed by.
MARKUP = """</script><script>hacked=1</script><img src=x onerror="hacked=1"><i id=injected>'"`{{7*7}}"""
SCRIPT_ADDRESS = "javascript:hacked=1"
RIGHT_TO_LEFT = "\u202egnp.tset \u2066\u2067nosnep"
ENDLESS = "endless" * 1_429  # 10,003 characters without a space.


def run(random, moment, *, status="success", workflow="build-and-test", **options):
    """Return the payloads of a run of a workflow, in the order in which they are sent.

    The jobs succeed up to the last one but one; the workflow ends with the status of the job that ended last.
    """
    options = {"host": PROJECT_HOSTS[options["project"]], "workflow": workflow} | options
    ended = samples.workflow_completed(random=random, status=status, happened_at=moment, **options)
    names = list(WORKFLOW_JOBS[workflow])
    if status != "success":
        names = names[:2]
    block = {name: value for name, value in ended["workflow"].items() if name != "status"}
    jobs = []
    for position, name in enumerate(names):
        is_last = position == len(names) - 1
        job = samples.job_completed(
            random=random,
            job=name,
            status=status if is_last else "success",
            happened_at=moment - timedelta(seconds=20 * (len(names) - position)),
            **options | {"duration_seconds": random.uniform(15, 240)},
        )
        jobs.append(job | {"pipeline": ended["pipeline"], "workflow": block})
    return [*jobs, ended]


def random_run(random, moment):
    """Return the payloads of a likely run; the failing workflow of this story is not among them."""
    project, workflow = random.choice(list(PROJECT_HOSTS)), random.choice(list(WORKFLOW_JOBS))
    branch = random.choices(list(BRANCH_WEIGHTS), list(BRANCH_WEIGHTS.values()))[0]
    if (project, workflow, branch) == (FAILING_PROJECT, FAILING_WORKFLOW, "main"):
        branch = "release/2026.8"
    return run(
        random,
        moment,
        status=random.choices(["success", "failed", "canceled"], [86, 10, 4])[0],
        project=project,
        workflow=workflow,
        branch=branch,
        author=random.choice(AUTHORS),
        commit_subject=random.choice(SUBJECTS),
        duration_seconds=random.lognormvariate(5.5, 0.5),
    )


def failing_run(random, moment, *, status="failed", **options):
    """Return the payloads of a run of the workflow that this story is about."""
    about = {"author": BAD_AUTHOR, "commit_subject": BAD_COMMIT} | options
    return run(random, moment, status=status, workflow=FAILING_WORKFLOW, project=FAILING_PROJECT, **about)


def rerun(random, moment, documents, **options):
    """Return the payloads of a run of the failing workflow that runs the pipeline of others again."""
    return [each | {"pipeline": documents[0]["pipeline"]} for each in failing_run(random, moment, **options)]


def hostile(random, moment, *, status="failed"):
    """Return an event whose every text is markup, a script's address, or written from right to left."""
    document = samples.workflow_completed(random=random, status=status, happened_at=moment)
    document["project"] |= {"name": MARKUP, "slug": f"github/acme/{MARKUP}"}
    document["workflow"] |= {"name": MARKUP, "url": SCRIPT_ADDRESS}
    document["pipeline"]["vcs"] |= {"branch": RIGHT_TO_LEFT, "origin_repository_url": SCRIPT_ADDRESS}
    document["pipeline"]["vcs"]["commit"] |= {"subject": RIGHT_TO_LEFT + MARKUP, "author": {"name": MARKUP}}
    document[MARKUP] = {RIGHT_TO_LEFT: MARKUP, "links": [SCRIPT_ADDRESS, f"https://example.invalid/{MARKUP}"]}
    return document


def endless(random, moment):
    """Return an event whose every text is 10,000 characters long."""
    document = samples.workflow_completed(random=random, status=ENDLESS, happened_at=moment)
    document["project"]["name"] = document["workflow"]["name"] = ENDLESS
    document["pipeline"]["vcs"]["branch"] = document[ENDLESS] = ENDLESS
    document["pipeline"]["vcs"]["commit"] |= {"subject": ENDLESS, "author": {"name": ENDLESS}}
    return document
