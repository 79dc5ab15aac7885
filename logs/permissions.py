"""The permissions that endpoints, pages and commands require."""

VIEW_EVENTS = "logs.view_workflowevent"
VIEW_DELIVERIES = "logs.view_delivery"
VIEW_BODIES = "logs.view_delivery_body"
REPLAY = "logs.replay_delivery"
PRUNE = "logs.prune_log"
VIEW_CHANNELS = "logs.view_channel"
ADD_CHANNELS = "logs.add_channel"
CHANGE_CHANNELS = "logs.change_channel"
TEST_CHANNELS = "logs.test_channel"

ALL = (VIEW_EVENTS, VIEW_DELIVERIES, VIEW_BODIES, REPLAY)  # Required by the API's endpoints.
