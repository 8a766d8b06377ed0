DROP TABLE buckets;
DROP FUNCTION buckets_changed;
DROP TABLE shard;
