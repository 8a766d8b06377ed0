-- Hosts that links must not lead to. pattern has the format of store.HostPattern.
CREATE TABLE blocked_hosts (
    pattern    TEXT    NOT NULL PRIMARY KEY COLLATE BINARY,
    reason     TEXT    NOT NULL,
    blocked_by TEXT    NOT NULL,
    blocked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row. version grows with every change of blocked_hosts.
CREATE TABLE blocklist_version (
    version INTEGER NOT NULL
) STRICT;

INSERT INTO blocklist_version VALUES (1);

CREATE TRIGGER blocked_hosts_added AFTER INSERT ON blocked_hosts
BEGIN
    UPDATE blocklist_version SET version = version + 1;
END;

CREATE TRIGGER blocked_hosts_removed AFTER DELETE ON blocked_hosts
BEGIN
    UPDATE blocklist_version SET version = version + 1;
END;

PRAGMA user_version = 9;
