-- The column of the next step, for the versions of a link before its edits.
ALTER TABLE link_history ADD COLUMN forward_path boolean;
