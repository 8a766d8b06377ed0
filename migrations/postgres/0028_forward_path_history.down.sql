ALTER TABLE link_history DROP COLUMN forward_path;
