DELETE FROM click_totals WHERE last_click_at IS NULL;
ALTER TABLE click_totals
    DROP COLUMN robots,
    ALTER COLUMN last_click_at SET NOT NULL;
