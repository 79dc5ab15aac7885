"""Parse the text of an environment variable that is a URL, or report which values are accepted."""

import re
from typing import Any
from urllib.parse import unquote, urlsplit

import dj_database_url
from environs import EnvError

from webhooklog.parsers import split_list

POSTGRESQL = "django.db.backends.postgresql"
SQLITE = "django.db.backends.sqlite3"
MAX_POSTGRESQL_NAME_LENGTH = 63
_ORIGIN = re.compile(r"(?!http:.*:80\Z|https:.*:443\Z)https?://[a-z0-9._-]+(:(?P<port>[1-9][0-9]{0,4}))?")
_NETLOC = r"([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:(?P<port>[1-9][0-9]{0,4}))?"
_SITE_URL = re.compile(rf"https?://{_NETLOC}(/[A-Za-z0-9._~-]+)*")
_PROXY_URL = re.compile(rf"http://{_NETLOC}/?")
_HOST = re.compile(_NETLOC)
# dj-database-url reads only one host.
_SEVERAL_HOSTS = re.compile(
    r"(?P<start>(postgres|postgresql|pgsql)://([^/?#]*@)?)(?P<hosts>[^/?#@]*,[^/?#@]*)(?P<rest>[/?#].*)?"
)
MAX_PORT = 65_535
MAX_HOSTS = 3  # Trying one that is away takes up to 2 seconds (databases.py), and CircleCI gives up after 10.
READ_WRITE = "read-write"
_HOSTS_FORM = f"Must have at most {MAX_HOSTS} hosts, each a name or IP address: db1.example.com:5432,db2:5433."
_EMAIL_FORM = "Must look like smtp+tls://user:password@smtp.example.com:587; percent-encode special characters."
# Each scheme's port and encryption: STARTTLS, TLS from the start, or none.
_EMAIL_SCHEMES: dict[str, tuple[int, dict[str, bool]]] = {
    "smtp+tls": (587, {"EMAIL_USE_TLS": True}),
    "submission": (587, {"EMAIL_USE_TLS": True}),
    "smtp+ssl": (465, {"EMAIL_USE_SSL": True}),
    "smtps": (465, {"EMAIL_USE_SSL": True}),
    "smtp": (25, {}),
}


def parse_origins(value: str) -> list[str]:
    """Read a comma-separated list of origins, each written as a browser sends it.

    Raises:
        EnvError: an entry can never match the origin that a browser sends.
    """
    origins = split_list(value)
    for origin in origins:
        match = _ORIGIN.fullmatch(origin)
        if match is None or int(match["port"] or 0) > MAX_PORT:
            raise EnvError(
                f"{origin!r} is not an origin: write a scheme and a host in lower case, with the port unless it is the "
                "scheme's own: https://grafana.example.com."
            )
    return origins


def parse_site_url(value: str) -> str:
    """Return a URL without its final slash; "" for none.

    Raises:
        EnvError: the value is not the URL of a site.
    """
    url = value.rstrip("/")
    if url and not _is_url(url, _SITE_URL):
        raise EnvError("Must be the site's URL, such as https://hooks.example.com.")
    return url


def parse_proxy_url(value: str) -> str:
    """Return the URL of an HTTP proxy; "" for none.

    Raises:
        EnvError: the value is not a proxy's URL, or contains a user name. The message never contains a password.
    """
    if value and not _is_url(value, _PROXY_URL):
        raise EnvError("Must be the URL of an HTTP proxy without credentials, such as http://proxy.example.com:3128.")
    return value


def _is_url(text: str, pattern: re.Pattern[str]) -> bool:
    match = pattern.fullmatch(text)
    try:
        return match is not None and int(match["port"] or 0) <= MAX_PORT and bool(urlsplit(text).hostname)
    except ValueError:  # The brackets contain no IPv6 address.
        return False


def parse_email_url(value: str) -> dict[str, Any]:
    """Convert EMAIL_URL to Django's settings for e-mail; for "", nothing is sent.

    Raises:
        EnvError: the URL does not name a mail server. The message never contains a password.
    """
    backend = "django.core.mail.backends.{}.EmailBackend"
    if value in ("", "console://"):
        return {"EMAIL_BACKEND": backend.format("console" if value else "dummy")}
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise EnvError(_EMAIL_FORM) from None
    # Special characters in a password that are not encoded end the host early.
    is_whole = bool(parts.hostname) and parts.path in ("", "/") and not parts.query and not parts.fragment
    if parts.scheme not in _EMAIL_SCHEMES or not is_whole or port == 0:
        raise EnvError(_EMAIL_FORM)
    default_port, encryption = _EMAIL_SCHEMES[parts.scheme]
    return {
        "EMAIL_BACKEND": backend.format("smtp"),
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": port or default_port,
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        **encryption,
    }


def parse_database_url(url: str) -> dict[str, Any]:
    """Convert DATABASE_URL to an entry for Django's DATABASES.

    Raises:
        EnvError: the URL does not name a PostgreSQL database or an SQLite file. The message never contains a password.
    """
    several = _SEVERAL_HOSTS.fullmatch(url)
    if several:
        url = f"{several['start']}{several['rest'] or ''}"
    try:
        database: dict[str, Any] = {**dj_database_url.parse(url)}
        is_whole = not urlsplit(url).fragment and "%00" not in url
    except ValueError:
        is_whole = False
    if is_whole and database["ENGINE"] == SQLITE:
        # Each thread would have its own in-memory database, which would be lost when the thread ends.
        if not database["NAME"] or database["NAME"].startswith((":memory:", "file:")) or database.get("HOST"):
            raise EnvError("Must name a file, not a database in memory or a URI: sqlite:////absolute/path.")
    elif not (is_whole and database["ENGINE"] == POSTGRESQL and _is_postgresql_name(database)):
        raise EnvError(
            "Must be postgresql://user:password@host:5432/name or sqlite:////absolute/path, with special characters "
            "percent-encoded (/ is %2F, @ is %40, # is %23)."
        )
    if several:
        database |= _parse_hosts(several["hosts"])
    _check_number_of_hosts(database.get("HOST"), database.get("OPTIONS", {}))
    return database


def _check_number_of_hosts(host: str | None, options: dict[str, Any]) -> None:
    number = 1 + max(f"{hosts}".count(",") for hosts in (host, options.get("host"), options.get("hostaddr")))
    if number > 1 and options.get("target_session_attrs") != READ_WRITE:
        raise EnvError(f"Must end in ?target_session_attrs={READ_WRITE}: of several hosts, only one is writable.")
    if number > MAX_HOSTS:
        raise EnvError(_HOSTS_FORM)


def _parse_hosts(text: str) -> dict[str, str]:
    """Return the lists of hosts and ports as libpq reads them: `db1,db2` and `5432,5433`; an empty port is 5432."""
    hosts = [_HOST.fullmatch(host) for host in text.split(",")]
    # The message does not repeat a host: it may be part of a password.
    if not all(host and int(host["port"] or 0) <= MAX_PORT for host in hosts):
        raise EnvError(_HOSTS_FORM)
    return {
        "HOST": ",".join(host[1].strip("[]") for host in hosts if host),
        "PORT": ",".join(host["port"] or "" for host in hosts if host),
    }


def parse_replica_url(value: str) -> dict[str, Any]:
    """Convert DATABASE_REPLICA_URL to an entry for Django's DATABASES; {} for "".

    Raises:
        EnvError: the URL does not name one standby of PostgreSQL. The message never contains a password.
    """
    try:
        database = parse_database_url(value) if value else {}
    except EnvError:
        database = {"ENGINE": ""}
    is_writable = database.get("OPTIONS", {}).get("target_session_attrs") == READ_WRITE
    if database and (database["ENGINE"] != POSTGRESQL or is_writable):
        raise EnvError(
            "Must name one standby: postgresql://user:password@host:5432/name, with special characters percent-encoded "
            "(/ is %2F, @ is %40, # is %23)."
        )
    return database


def _is_postgresql_name(database: dict[str, Any]) -> bool:
    name: str = database["NAME"]
    is_given = bool(name) or "service" in database.get("OPTIONS", {})
    # An @ in the name means that an unencoded slash in the password ended the host.
    return is_given and "@" not in name and len(name) <= MAX_POSTGRESQL_NAME_LENGTH
