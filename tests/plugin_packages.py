"""Packages that offer kinds of channels, for tests: written to a folder, as pip would install them."""

INTERFACE = 1
MODULE = """
from logs.notifications.channels.base import Field, Message, Sent, Transport, json_request

class Pigeon(Transport):
    interface = {interface}
    kind, title = {kind!r}, "Pigeon <i>"
    fields = [Field(name="url", label="Loft", is_secret=True, pattern="https://.*", invalid="Enter a URL.")]

    def request(self, message):
        return json_request(message.settings["url"], {{"text": message.content.subject}})
{more}
"""


def write_package(folder, name="pigeon", *, module="", code="", more="", **values):
    """Write a package whose entry point `name` is the class Pigeon of a module; `more` is added to the class."""
    module = module or f"webhooklog_{name.replace('-', '_')}"
    values = {"interface": INTERFACE, "kind": name} | values
    (folder / f"{module}.py").write_text(code or MODULE.format(more=more, **values))
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[webhooklog.channels]\n{name} = {module}:Pigeon\n")
    return module
