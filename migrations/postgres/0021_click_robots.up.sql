-- robots counts the clicks that are not of people. last_click_at is NULL if no person has clicked.
ALTER TABLE click_totals
    ADD COLUMN robots bigint NOT NULL DEFAULT 0,
    ALTER COLUMN last_click_at DROP NOT NULL;
