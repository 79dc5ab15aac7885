INSERT INTO events (event_id, event_type, happened_at, project, workflow, status, body)
VALUES (gen_random_uuid()::text, 'workflow-completed', now(), 'orchard', 'build-and-test', 'success',
        convert_to(:body, 'UTF8'))
ON CONFLICT (event_id) DO NOTHING;
