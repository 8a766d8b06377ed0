DROP TABLE link_tags;
DROP TABLE links;
DROP FUNCTION link_tags_changed;
