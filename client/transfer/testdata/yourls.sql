-- MySQL dump 10.19  Distrib 10.3.39-MariaDB, for debian-linux-gnu (x86_64)
--
-- Host: localhost    Database: yourls
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
DROP TABLE IF EXISTS `yourls_options`;
INSERT INTO `yourls_options` VALUES (1,'version','1.9.2'),(2,'db_version','507');
CREATE TABLE `yourls_url` (
  `keyword` varchar(100) COLLATE utf8mb4_bin NOT NULL DEFAULT '',
  `url` text COLLATE utf8mb4_bin NOT NULL,
  `title` text COLLATE utf8mb4_unicode_ci DEFAULT NULL,
  `timestamp` timestamp NOT NULL DEFAULT current_timestamp(),
  `ip` varchar(41) COLLATE utf8mb4_unicode_ci NOT NULL,
  `clicks` int(10) unsigned NOT NULL,
  PRIMARY KEY (`keyword`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
LOCK TABLES `yourls_url` WRITE;
/*!40000 ALTER TABLE `yourls_url` DISABLE KEYS */;
INSERT INTO `yourls_url` VALUES ('ozh','https://ozh.org/','Ozh\'s "site" -- it''s; (here)','2012-03-01 17:20:01','127.0.0.1',12345),('1','https://example.com/?a=1&b=%27','日本語','2020-02-29 23:59:59','::1',0),
('Mixed-Case_9','https://example.com/?path=with\\backslashes',NULL,'2021-01-01 00:00:00','10.0.0.1',3);
INSERT INTO `yourls_url` (`keyword`, `url`, `title`, `timestamp`, `ip`, `clicks`) VALUES
('my.page', 'https://example.com/dot', 'A dot in the keyword', '2022-05-06 07:08:09', '127.0.0.1', 7),
('short','https://example.com/short'),
('last', 'https://example.com/last', 'The last one', '2023-01-02 03:04:05', '127.0.0.1', 1);
UNLOCK TABLES;
INSERT INTO `yourls_log` VALUES (1,'2020-01-01 00:00:00','ozh','direct','Mozilla','127.0.0.1','FR');
