-- The ledger. Moments are unix milliseconds; ids are their sixteen bytes and sort by time.

-- The registry. `body` is the endpoint as JSON; NULL once it is deleted: its deliveries still name it.
CREATE TABLE endpoints (
    slot   INTEGER PRIMARY KEY,
    id     TEXT NOT NULL,
    tenant TEXT NOT NULL,
    body   TEXT,
    UNIQUE (id, tenant)
) STRICT;
CREATE INDEX endpoints_of_tenant ON endpoints (tenant);

-- `deliveries`: how many it had when it was accepted. The payload is last: who does not ask for it does not read it.
CREATE TABLE events (
    seq          INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE,
    tenant       TEXT NOT NULL,
    event_type   TEXT NOT NULL,
    content_type TEXT NOT NULL,
    source       TEXT,
    request_id   TEXT NOT NULL,
    traceparent  TEXT,
    accepted_at  INTEGER NOT NULL,
    deliveries   INTEGER NOT NULL,
    payload      BLOB NOT NULL
) STRICT;
CREATE INDEX events_of_tenant ON events (tenant, id);
CREATE INDEX events_unwanted ON events (accepted_at) WHERE deliveries = 0;

-- `state`: 0 pending, 1 delivered, else dead and why. `step`: attempts of the present schedule; `attempts`: of all.
CREATE TABLE deliveries (
    id         BLOB PRIMARY KEY,
    event      INTEGER NOT NULL,
    endpoint   INTEGER NOT NULL,
    state      INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    step       INTEGER NOT NULL,
    due        INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_of_endpoint ON deliveries (endpoint, state, id, due);
CREATE INDEX deliveries_of_event ON deliveries (event, id);
CREATE INDEX deliveries_finished ON deliveries (updated_at) WHERE state > 0;

-- `outcome`: the HTTP status, or a failure as a negative number.
CREATE TABLE attempts (
    delivery    BLOB NOT NULL,
    number      INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    outcome     INTEGER NOT NULL,
    response    TEXT NOT NULL,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

-- Idempotency keys, `tenant`, NUL, `key`, with the first result.
CREATE TABLE keys (
    scoped      BLOB PRIMARY KEY,
    event       BLOB NOT NULL,
    deliveries  INTEGER NOT NULL,
    known_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_by_end ON keys (known_until);

-- How many finished deliveries there are: counting them would read them all.
CREATE TABLE sums (
    delivered INTEGER NOT NULL,
    dead      INTEGER NOT NULL
) STRICT;
INSERT INTO sums VALUES (0, 0);
