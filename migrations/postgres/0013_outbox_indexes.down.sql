DROP INDEX outbox_by_link;
DROP INDEX outbox_by_age;
