-- The columns of the next step, for the versions of a link before its edits. They are in a step of
-- their own, so that no step waits for one table while it locks another.
ALTER TABLE link_history
    ADD COLUMN rules text,
    ADD COLUMN no_visitors boolean;
