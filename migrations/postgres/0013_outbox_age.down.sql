DROP INDEX outbox_by_age;
