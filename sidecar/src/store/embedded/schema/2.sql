-- What an event asks for: not before the one moment, not from the other on. Behind the payload, so reading one that is
-- there walks over it; one that is absent costs nothing.
ALTER TABLE events ADD COLUMN deliver_at INTEGER;
ALTER TABLE events ADD COLUMN expires_at INTEGER;
