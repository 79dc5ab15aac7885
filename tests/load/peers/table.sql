-- The one row for an event that everybody but webhooklog itself inserts.
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL UNIQUE,
    event_type text NOT NULL,
    happened_at timestamptz NOT NULL,
    project text NOT NULL,
    workflow text NOT NULL,
    status text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    body bytea NOT NULL
);
