DROP TRIGGER link_history_kept ON links;
DROP FUNCTION link_history_kept;
DROP TABLE link_history;
ALTER TABLE links DROP COLUMN edit_note, DROP COLUMN edited_by;
