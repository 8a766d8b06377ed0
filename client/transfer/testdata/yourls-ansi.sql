/*!40101 SET NAMES utf8 */;
DROP TABLE IF EXISTS "yourls_url";
CREATE TABLE "yourls_url" (
  "keyword" varchar(200) NOT NULL DEFAULT '',
  "url" text NOT NULL,
  "title" text DEFAULT NULL COMMENT 'one, two (three)',
  "timestamp" timestamp NOT NULL DEFAULT current_timestamp(),
  "clicks" int(10) NOT NULL DEFAULT 0,
  "note" varchar(20),
  "ip" varchar(41) NOT NULL,
  PRIMARY KEY ("keyword"),
  KEY "timestamp" ("timestamp")
);
INSERT INTO "yourls_url" VALUES ('seven','https://example.com/seven','A \'title\'','2020-01-02 03:04:05',7,'','::1');
