PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE yourls_url (keyword varchar(200), url text, title text, timestamp timestamp, clicks int(10));
INSERT INTO yourls_url VALUES('five','https://example.com/five','C:\temp\new ''x''','2020-01-02 03:04:05',5);
COMMIT;
