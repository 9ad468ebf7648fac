-- What an event asks for: not before the one moment, not from the other on. Behind the payload, so reading one that is
-- there walks over it; one that is absent costs nothing.
ALTER TABLE events ADD COLUMN deliver_at INTEGER;
ALTER TABLE events ADD COLUMN expires_at INTEGER;

-- Events with deliveries by the end of their time; gone once that was seen to.
CREATE TABLE expiring (
    expires_at INTEGER NOT NULL,
    event      INTEGER NOT NULL,
    PRIMARY KEY (expires_at, event)
) STRICT, WITHOUT ROWID;
