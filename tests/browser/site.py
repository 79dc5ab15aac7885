"""A running site with a log to look at: history, what arrives while it runs, and what it refuses.

Its watch runs, because the dashboard shows what it finds.
"""

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from urllib.parse import quote
from uuid import UUID

from logs.circleci import samples
from tests.browser.runs import MARKUP, endless, failing_run, hostile, random_run, run
from tests.load.engines import manage
from tests.load.senders import SECRET
from tests.load.stage import Stage
from tests.load.wire import HOST, RECEIVING_PATH, Connection, wait_until

UNSIGNED_PATH, BOUND_PATH = f"{RECEIVING_PATH}/from-a-fork", f"{RECEIVING_PATH}/payments"
SECRETS = {
    "My CircleCI Webhook": SECRET,
    "Payments": {"secrets": SECRET, "projects": ["github/acme/payments"]},
    "From a fork": None,
}
SETTINGS = {
    "CIRCLECI_WEBHOOK_SECRETS": json.dumps(SECRETS),
    "API_REQUESTS_PER_MINUTE": "0",
    "EVENT_RETENTION_DAYS": "365",
    "DELIVERY_RETENTION_COUNT": "500",
    "MAX_BODY_BYTES": "100000",
}


class Site:
    """A running site as tests use it."""

    password = "a-password-of-the-browser-tests-only"

    def __init__(self, running):
        self.server, self.database = running.server, running.database
        self.sessions = {}  # The session's key by the name of who has signed in.
        self.keys = {}  # The primary keys of what pages are about, by a name.
        self.random = Random(2)

    @property
    def url(self):
        """The address, without a slash at its end."""
        return f"http://{HOST}:{self.server.port}"

    def restart(self, **changes):
        """End the server and start it with other settings; its port and its log stay."""
        self.server.end()
        self.server.environment |= changes
        self.server.start()
        self.server.wait_until_serving()

    def manage(self, *arguments):
        """Run one of the site's commands."""
        return manage(self.server.environment, *arguments)

    def _call(self, call):
        self.manage("shell", "--no-imports", "-c", f"from tests.browser import history; history.{call}")

    def make_accounts(self):
        """Make an administrator, an operator and a viewer, who share a password."""
        self._call(f"make_accounts({self.password!r})")

    def write_history(self):
        """Write what has happened in the last two weeks."""
        self._call("write_history()")

    def act(self):
        """Replay a delivery as the operator, for a reason that the audit log keeps."""
        key = self.keys["logged"]
        self._call(f"act('/admin/logs/delivery/replay/', ids='{key}', confirm='yes', reason='Read it anew')")

    def make_token(self):
        """Make a token of the viewer's."""
        self.manage("create_token", "viewer", "--name=Grafana", "--expires=7d")
        self.keys["token"] = self._number("SELECT max(id) FROM logs_apitoken")
        self.keys["operator"] = self._number("SELECT id FROM auth_user WHERE username = 'operator'")

    def make_channels(self, name="ops"):
        """Make a channel in each state; `name` is that of the one with all kinds of notifications."""
        self.manage(
            "shell", "--no-imports", "-c", f"from tests.browser import channels; channels.make_channels({name!r})"
        )
        for key, text in {
            "channel": name,
            "failing_channel": "on-call",
            "disabled_channel": "old chat",
            "muted_channel": "night shift",
            "new_channel": "new",
            "tried_channel": "tried",
            "unreadable_channel": "restored",
            "unknown_channel": "loft",
        }.items():
            quoted = text.replace("'", "''")
            self.keys[key] = self._number(f"SELECT id FROM logs_channel WHERE name = '{quoted}'")
        for key, condition in {
            "failed_notification": "state = 'failed'",
            "digest": "kind = 'digest'",
            "repeated_notification": "state = 'sent' AND kind = 'fixed'",
            "waiting_notification": "state = 'waiting'",
        }.items():
            self.keys[key] = self._number(f"SELECT min(id) FROM logs_notification WHERE {condition}")
        self.keys["rule"] = self._number("SELECT min(id) FROM logs_rule WHERE subject = 'changes'")
        self.keys["disabled_rule"] = self._number("SELECT min(id) FROM logs_rule WHERE name = 'old rule'")
        self.keys["log_rule"] = self._number("SELECT min(id) FROM logs_rule WHERE subject = 'log'")

    def make_sources(self, name="garden"):
        """Make a source in each state; `name` is that of the silent project."""
        self.manage("shell", "--no-imports", "-c", f"from tests.browser import sources; sources.make_sources({name!r})")
        quoted = name.replace("'", "''")
        self.keys["source"] = self._number(f"SELECT id FROM logs_source WHERE project = '{quoted}'")

    def post(self, document, *, secret=SECRET, path=RECEIVING_PATH, headers=None):
        """Send a payload, a document or bytes, as CircleCI does; return the status of the answer."""
        body = document if isinstance(document, bytes) else samples.encode(document)
        said = document if isinstance(document, dict) else {"type": "workflow-completed"}
        with Connection(self.server.port) as connection:
            return connection.post(body, samples.headers(body, said, secret) | (headers or {}), path).status

    def key_of(self, document):
        """Return the primary key of a payload's event."""
        return self._number(f"SELECT id FROM logs_workflowevent WHERE event_id = '{document['id']}'")

    def last_delivery(self):
        """Return the primary key of the delivery that was kept last."""
        return self._number("SELECT max(id) FROM logs_delivery")

    def _number(self, sql):
        return self.database.query(sql)[0][0]

    def send_events(self):
        """Send events of each kind, and wait until the watch has judged the failing workflow."""
        for _ in range(12):
            for document in random_run(self.random, datetime.now(UTC)):
                assert self.post(document) == 201
        self._send_rerun()
        *jobs, workflow = failing_run(self.random, datetime.now(UTC))
        assert {self.post(document) for document in [*jobs, workflow]} == {201}
        self.keys |= {"failing_workflow": self.key_of(workflow), "failing_job": self.key_of(jobs[-1])}
        self.keys |= {"failing_job_id": jobs[-1]["id"], "logged": self.last_delivery()}
        assert self.post(workflow) == 200  # A duplicate.
        assert self.post(samples.ping(random=self.random, happened_at=datetime.now(UTC))) == 200
        self._send_canceled()
        self._send_unsigned()
        judged = f"SELECT count(*) FROM logs_standing WHERE last_id = {self.keys['failing_workflow']}"
        wait_until(lambda: self._number(judged), "the watch has judged the failing workflow")

    def _send_rerun(self):
        """Send a pipeline whose workflow fails, then succeeds, and whose second workflow has not ended."""
        options = {"project": "orchard", "branch": "feature/apple-varieties", "author": "Ama Mensah"}
        failed = run(self.random, datetime.now(UTC) - timedelta(minutes=9), status="failed", **options)
        again = run(self.random, datetime.now(UTC) - timedelta(minutes=4), **options)
        started = run(self.random, datetime.now(UTC), workflow="deploy", **options)[:2]
        for document in [*failed, *again, *started]:
            assert self.post(document | {"pipeline": failed[0]["pipeline"]}) == 201
        self.keys["rerun"] = self.key_of(again[-1])

    def _send_canceled(self):
        """Send what cancelling a workflow of two jobs sends: its event three times, each a later version."""
        workflow_id = str(UUID(int=self.random.getrandbits(128)))
        for expected in (201, 200, 200):
            document = samples.workflow_completed(
                random=self.random,
                status="canceled",
                happened_at=datetime.now(UTC),
                project="orchard",
                workflow="nightly",
                workflow_id=workflow_id,
            )
            assert self.post(document) == expected
        self.keys["canceled"] = self.key_of(document)

    def _send_unsigned(self):
        document = samples.workflow_completed(random=self.random, project="lighthouse", happened_at=datetime.now(UTC))
        assert self.post(document, secret=None, path=UNSIGNED_PATH) == 201
        self.keys["unsigned"] = self.key_of(document)

    def wait_until_judged(self, name):
        """Wait until the watch has found that a run, by its name in `keys`, decides how its branch stands."""
        followed = "EXISTS (SELECT 1 FROM logs_watchtask WHERE name = 'follow' AND cursor IS NOT NULL)"
        sql = f"SELECT count(*) FROM logs_standing WHERE last_id = {self.keys[name]} AND {followed}"
        wait_until(lambda: self._number(sql), f"the watch has judged the run {name}")

    def wait_until_flaky(self):
        """Wait until the watch has found a flaky job or workflow, which some pages are about."""
        wait_until(lambda: self._number("SELECT count(*) FROM logs_flake"), "the watch has found a flake")
        self.keys["flaky"] = self._number("SELECT max(failed_id) FROM logs_flake")
        slug = f"SELECT project_slug FROM logs_workflowevent WHERE id = {self.keys['flaky']}"
        self.keys["project"] = quote(self._number(slug))

    def send_refused(self, strange="something else"):
        """Send deliveries that are refused, one of each kind; `strange` is a text that pages show."""
        document = samples.workflow_completed(random=self.random)
        document["project"]["slug"] = f"github/acme/{strange}"
        no_json = {"user-agent": strange, "content-type": "text/xml"}
        # fmt: off
        refusals = {
            "unverified": (401, bytes(range(256)) * 4, {"secret": None}),
            "mistyped":   (401, document,              {"path": f"{RECEIVING_PATH}/payment"}),
            "guessed":    (401, document,              {"secret": "of somebody else"}),
            "malformed":  (400, b'["no object"]',      {}),
            "forbidden":  (403, document,              {"path": BOUND_PATH}),
            "rejected":   (415, document,              {"headers": no_json}),
            "too_large":  (413, b" " * 100_001,        {}),
        }
        # fmt: on
        for name, (status, body, options) in refusals.items():
            assert self.post(body, **options) == status, name
            self.keys[name] = self.last_delivery()

    def send_hostile(self):
        """Send what would harm pages that trust payloads."""
        succeeded = hostile(self.random, datetime.now(UTC) - timedelta(minutes=1), status="success")
        assert self.post(succeeded) == 201
        for name, strange in (("hostile", hostile), ("endless", endless)):
            document = strange(self.random, datetime.now(UTC))
            if name == "hostile":
                document["pipeline"] = succeeded["pipeline"]
            assert self.post(document) == 201
            self.keys |= {name: self.key_of(document), f"{name}_delivery": self.last_delivery()}
        self.send_refused(strange=MARKUP)


@contextmanager
def running_site(engine, **settings):
    """Run a site whose log is empty; `settings` are environment variables."""
    stage = Stage(engine=engine, seed="", is_short=True, report=None, tell=lambda _: None)
    with stage.site(**SETTINGS | settings) as running:
        site = Site(running)
        site.make_accounts()
        yield site
