"""A site in processes of its own, on a database server of its own, which a test may break."""

import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

from tests.load.engines import ENGINES
from tests.load.stage import Stage, site_environment


@contextmanager
def live_site(database, **settings):
    """Run a site on a kind of database, and give the engine and the site; `settings` are environment variables.

    By default the watch does not run.
    """
    with tempfile.TemporaryDirectory(prefix="webhooklog-live-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as a user of its own.
        with closing(ENGINES[database](folder, site_environment(folder))) as engine:
            stage = Stage(engine=engine, seed="live", is_short=True, report=None, tell=lambda _: None)
            with stage.site(**{"WATCH": "off"} | settings) as site:
                yield engine, site
