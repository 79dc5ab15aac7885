from logs.reading.filters import DeliveryFilterSet, EventFilterSet
from tests.load.growth_rows import DELIVERY_FILTERS, EVENT_FILTERS


def test_measures_every_filter_of_events():
    assert {name for name, _, _ in EVENT_FILTERS} == set(EventFilterSet.base_filters)


def test_measures_every_filter_of_deliveries():
    assert {name for name, _, _ in DELIVERY_FILTERS} == set(DeliveryFilterSet.base_filters)
