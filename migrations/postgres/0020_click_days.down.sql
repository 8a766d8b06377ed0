DROP TRIGGER links_deleted ON links;
DROP FUNCTION links_deleted;
DROP FUNCTION click_salts_destroy;
DROP FUNCTION click_days_drop_month;
DROP FUNCTION click_days_add_month;
DROP TABLE click_salts;
DROP TABLE click_sweep;
DROP TABLE click_days;
DROP TABLE click_batches;
