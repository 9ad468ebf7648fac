-- Replays. `body` is one as JSON; `running`: 1 or 0.
CREATE TABLE replays (
    id         BLOB PRIMARY KEY,
    tenant     TEXT NOT NULL,
    running    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX replays_running ON replays (id) WHERE running = 1;
CREATE INDEX replays_finished ON replays (updated_at) WHERE running = 0;
