DROP TRIGGER click_days_of_deleted;
DROP TABLE click_sweep;
DROP TABLE click_days;
DROP TABLE click_batches;
ALTER TABLE click_totals DROP COLUMN robots;

PRAGMA user_version = 19;
