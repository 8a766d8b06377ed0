DROP TABLE link_tags;
DROP TABLE links;
