"""The list of deliveries in the admin."""

from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.translation import gettext as _

from logs import conf
from logs.admin.deliveries.outcomes import MAX_AT_ONCE
from logs.admin.links import chips, other_filters, span_chips
from logs.admin.lists import ListAdmin
from logs.models import Delivery, Outcome
from logs.models.deliveries import REFUSED
from logs.reading.filters import DeliveryFilterSet
from logs.reading.pages import BY_ARRIVAL

FIELDS = frozenset({"project", "workflow", "branch", "pipeline", "revision", "webhook", "event"})


class DeliveryListAdmin(ListAdmin):
    """Lists deliveries."""

    filterset_class = DeliveryFilterSet
    orders = {"received_at": BY_ARRIVAL}
    row_template = "logs/admin/lists/delivery_row.html"
    form_fields = FIELDS
    export_url_name = "logs:deliveries"

    def rows(self) -> QuerySet[Delivery]:
        """Return all deliveries."""
        return Delivery.objects.for_lists()

    def context(self, query: QueryDict) -> dict[str, Any]:
        """Return the filters and their choices."""
        return {
            "groups": [
                (_("Outcome"), chips(query, "outcome", _outcomes())),
                (_("Signature"), chips(query, "verified", _verified())),
                (_("Received"), span_chips(query)),
            ],
            "max_replayed": MAX_AT_ONCE,
            "list_query": query.urlencode(),
            "webhook_names": [webhook.name for webhook in conf.webhooks()],
            "other_filters": other_filters(query, shown=FIELDS.union(["outcome", "verified"])),
        }


def _outcomes() -> dict[str, str]:
    return {"": _("All"), ",".join(REFUSED): _("Refused")} | {value: str(label) for value, label in Outcome.choices}


def _verified() -> dict[str, str]:
    return {"": _("All"), "true": _("Verified"), "false": _("Not verified")}
