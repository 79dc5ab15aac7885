"""The least that a receiver must do, on the fastest common stack: verify, parse, insert one row, answer.

Run by uvicorn with uvloop and httptools. A prepared statement, a pool of open connections, no validation models.
"""

import hashlib
import hmac
import os
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
import orjson
from fastapi import FastAPI, Request, Response

SECRET = os.environ["WEBHOOK_SECRET"].encode()
POOL_SIZE = 8  # In each worker, as many as the threads of the others.
INSERT = """
INSERT INTO events (event_id, event_type, happened_at, project, workflow, status, body)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (event_id) DO NOTHING
"""


class Connection(asyncpg.Connection):
    """A connection that is given back to the pool without a round trip: nothing is ever set on it."""

    def get_reset_query(self):
        return ""


@asynccontextmanager
async def lifespan(app):
    async with asyncpg.create_pool(
        os.environ["DATABASE_URL"], min_size=POOL_SIZE, max_size=POOL_SIZE, connection_class=Connection
    ) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan, openapi_url=None)


@app.post("/log-circleci-webhook")
async def receive(request: Request):
    body = await request.body()
    digest = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(f"v1={digest}", request.headers.get("circleci-signature", "")):
        return Response(status_code=401)
    event = orjson.loads(body)
    about = event["job"] if "job" in event else event["workflow"]
    inserted = await app.state.pool.execute(
        INSERT,
        event["id"],
        event["type"],
        datetime.fromisoformat(event["happened_at"]),
        event["project"]["name"],
        event["workflow"]["name"],
        about["status"],
        body,
    )
    answer = orjson.dumps({"id": event["id"]})
    return Response(answer, status_code=201 if inserted == "INSERT 0 1" else 200, media_type="application/json")
