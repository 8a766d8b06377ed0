ALTER TABLE link_history
    DROP COLUMN rules,
    DROP COLUMN no_visitors;
