"""The figures of one workflow for its page, read in a bounded number of queries, whatever the size of the log."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from logs.circleci.vocabulary import Tone
from logs.insights.charts import Chart, chart_of, highest_of, round_ceiling
from logs.insights.figures import Figures, Recoveries
from logs.insights.flaky import FlakyJob, group_flakes, read_flakes
from logs.insights.jobs import Job, JobFigures, read_jobs
from logs.insights.lines import DurationChart, duration_chart
from logs.insights.periods import Period
from logs.insights.recoveries import Breakage, read_breakages, sum_recoveries
from logs.insights.selecting import Selection
from logs.insights.series import Point, read_points
from logs.insights.totals import Bar
from logs.insights.workflow_figures import MOST_RUNS, read_figures, read_run_figures
from logs.insights.workflows import FEWEST_FOR_MEAN
from logs.models import Workflow

CHART_HEIGHT = 160
SHOWN_JOBS = 5


@dataclass(frozen=True, kw_only=True)
class WorkflowPage:
    """What the log says about a workflow in a window."""

    figures: Figures | None  # None if it did not run.
    most_runs: int | None  # The figures come from that many of the newest runs; None if from hourly sums.
    recoveries: Recoveries
    breakages: list[Breakage]  # Newest first.
    runs_chart: Chart | None  # None for a branch: hourly sums do not tell branches apart.
    durations_chart: DurationChart | None  # None also if no finished run has a known duration.
    jobs: JobFigures
    slowest: list[Job]
    least_reliable: list[Job]
    flaky: list[FlakyJob]  # In the last two weeks, on all branches.


def read_workflow_page(selection: Selection, workflow: Workflow, now: datetime) -> WorkflowPage:
    """Return all figures of the selected workflow; those of a selected branch are exact."""
    breakages, jobs = read_breakages(selection).rows, read_jobs(selection, workflow)
    period = selection.window.period
    points = [] if selection.branch else read_points(selection.sums, selection.window, period.bar_length)
    frequent = [job for job in jobs.jobs if job.figures.total_runs >= FEWEST_FOR_MEAN]
    return WorkflowPage(
        figures=read_run_figures(selection) if selection.branch else read_figures(selection.sums).get(workflow.pk),
        most_runs=MOST_RUNS if selection.branch else None,
        recoveries=sum_recoveries(breakages),
        breakages=breakages,
        runs_chart=_runs_chart(points, period) if points else None,
        durations_chart=duration_chart(points, period.bar_length, height=CHART_HEIGHT),
        jobs=jobs,
        slowest=_slowest(frequent)[:SHOWN_JOBS],
        least_reliable=_least_reliable(frequent)[:SHOWN_JOBS],
        flaky=_read_flaky(workflow, now),
    )


def _runs_chart(points: Sequence[Point], period: Period) -> Chart:
    bars = [Bar(since=point.since, until=point.since + period.bar_length, counts=_counts_of(point)) for point in points]
    return chart_of(bars, height=CHART_HEIGHT, ceiling=round_ceiling(highest_of(bars)))


def _counts_of(point: Point) -> Counter[Tone]:
    good, bad = point.successful_runs, point.failed_runs
    return Counter({Tone.GOOD: good, Tone.BAD: bad, Tone.STOPPED: point.total_runs - good - bad})


def _slowest(jobs: Sequence[Job]) -> list[Job]:
    medians = {job.name: job.figures.durations.median for job in jobs if job.figures.durations}
    return sorted((job for job in jobs if job.name in medians), key=lambda job: -medians[job.name])


def _least_reliable(jobs: Sequence[Job]) -> list[Job]:
    rates = {job.name: job.figures.success_rate for job in jobs}
    failing = [job for job in jobs if job.figures.failed_runs]
    return sorted(failing, key=lambda job: rates[job.name] or 0)


def _read_flaky(workflow: Workflow, now: datetime) -> list[FlakyJob]:
    """Return the flaky jobs among the newest flakes of the workflow's project."""
    flakes = read_flakes(now, project_slug=workflow.project_slug)
    return group_flakes(flake for flake in flakes if flake.workflow == workflow.name and flake.job)
