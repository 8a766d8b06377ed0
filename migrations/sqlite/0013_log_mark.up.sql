-- One row of a fixed size. With it, a start recognises a write-ahead log that belongs to
-- another database file. store/sqlite/mark.go has the layout; 64 zero bytes are no mark.
CREATE TABLE log_mark (
    id   INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    mark BLOB    NOT NULL
) STRICT;

INSERT INTO log_mark (id, mark) VALUES (1, zeroblob(64));

PRAGMA user_version = 13;
