DROP TABLE click_flushes;
DROP TABLE click_totals;
