DROP TABLE link_tags;
DROP TABLE links;

PRAGMA user_version = 0;
