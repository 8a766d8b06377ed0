DROP TABLE click_flushes;
DROP TRIGGER click_totals_of_deleted;
DROP TABLE click_totals;

PRAGMA user_version = 1;
