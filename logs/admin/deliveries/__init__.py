"""The admin's pages of deliveries."""

from logs.admin.deliveries.admin import DeliveryAdmin

__all__ = ["DeliveryAdmin"]
