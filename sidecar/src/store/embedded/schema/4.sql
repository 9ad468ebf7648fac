-- First in, first out. `line`: in which line of its endpoint a delivery stands, for life; NULL for none. `place`: its
-- place there while it is pending. The index has only what is pending in a line.
ALTER TABLE events ADD COLUMN ordering_key TEXT;
ALTER TABLE deliveries ADD COLUMN line TEXT;
ALTER TABLE deliveries ADD COLUMN place INTEGER;
CREATE INDEX deliveries_in_line ON deliveries (endpoint, line, place) WHERE line IS NOT NULL AND state = 0;
