DROP TRIGGER link_history_kept;
DROP TABLE link_history;
ALTER TABLE links DROP COLUMN edit_note;
ALTER TABLE links DROP COLUMN edited_by;

PRAGMA user_version = 6;
