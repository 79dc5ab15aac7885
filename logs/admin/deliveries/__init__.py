"""The admin's pages for deliveries."""

from logs.admin.deliveries.admin import DeliveryAdmin

__all__ = ["DeliveryAdmin"]
