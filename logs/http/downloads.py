"""Return a delivery's bytes as a file."""

from django.http import HttpResponse

from logs.models import Delivery


def file_name(delivery: Delivery) -> str:
    """Return the name of the file that holds a delivery's body."""
    return f"delivery-{delivery.pk}.json"


def body_response(delivery: Delivery) -> HttpResponse:
    """Return a delivery's bytes as a download."""
    return HttpResponse(
        bytes(delivery.body),
        # Whatever type the body claims, browsers must not show it as a page of this site.
        content_type="application/octet-stream",
        headers={
            "Content-Disposition": f'attachment; filename="{file_name(delivery)}"',
            "X-Content-Type-Options": "nosniff",
        },
    )
