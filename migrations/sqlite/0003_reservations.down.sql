DROP TABLE reservations;

PRAGMA user_version = 2;
