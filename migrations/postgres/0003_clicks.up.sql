-- Click totals are in their own table, so that counting does not rewrite links.
CREATE TABLE click_totals (
    total         bigint      NOT NULL,
    last_click_at timestamptz NOT NULL,
    bucket        smallint    NOT NULL,
    code          text        NOT NULL COLLATE "C",
    PRIMARY KEY (bucket, code)
) WITH (fillfactor = 80);

-- The latest batch of each recorder. A batch with the same or a lower seq is not
-- counted again.
CREATE TABLE click_flushes (
    recorder   text        NOT NULL COLLATE "C" PRIMARY KEY,
    seq        bigint      NOT NULL,
    flushed_at timestamptz NOT NULL
);

CREATE INDEX click_flushes_by_age ON click_flushes (flushed_at);
