-- Finds the oldest edit of an audience, however many wait for the other one.
CREATE INDEX outbox_by_age ON outbox (audience, id);

-- Finds the waiting edits of one link.
CREATE INDEX outbox_by_link ON outbox (bucket, code);
