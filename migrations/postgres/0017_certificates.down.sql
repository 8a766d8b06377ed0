DROP TABLE certificate_locks;
DROP TABLE certificate_files;
