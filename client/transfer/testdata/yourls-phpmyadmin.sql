-- phpMyAdmin SQL Dump
-- version 5.2.1
SET SQL_MODE = "NO_AUTO_VALUE_ON_ZERO";
START TRANSACTION;
SET time_zone = "+00:00";

CREATE TABLE `yourls_log` (
  `click_id` int(11) NOT NULL,
  `shorturl` varchar(100) NOT NULL
) ENGINE=InnoDB;
INSERT INTO `yourls_log` (`click_id`, `shorturl`) VALUES
(1, 'ozh');

INSERT INTO `links_db`.`yourls_url` (`url`, `keyword`, `clicks`, `ip`, `title`, `timestamp`) VALUES
(0x68747470733a2f2f6578616d706c652e636f6d2f6865783f613d31, 'hex', 5, '127.0.0.1', 'Two\r\nlines', '0000-00-00 00:00:00'),
('https://example.com/binary', _binary 'bin', 6, NULL, NULL, '2024-02-03 04:05:06'),
(X'68747470733a2f2f6578616d706c652e636f6d2f78', _utf8mb4'x-hex', '1,234', '', '', CURRENT_TIMESTAMP);
REPLACE INTO links_db.yourls_url (`url`, `keyword`) VALUES ('https://example.com/replaced', 'replaced');
ALTER TABLE `yourls_url`
  ADD PRIMARY KEY (`keyword`);
COMMIT;
