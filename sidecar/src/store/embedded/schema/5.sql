-- How many bytes of payload were forgotten; NULL while it is there.
ALTER TABLE events ADD COLUMN forgotten_bytes INTEGER;
CREATE INDEX events_unwanted_whole ON events (accepted_at) WHERE deliveries = 0 AND forgotten_bytes IS NULL;

-- How far each walk of the retention came through what is over, in the order of its end.
CREATE TABLE walks (
    name     TEXT PRIMARY KEY,
    ended_at INTEGER NOT NULL,
    id       BLOB NOT NULL
) STRICT, WITHOUT ROWID;
