#!/bin/sh
# Keeps one segment of WAL, for restore.sh:
#
#	archive_mode = on
#	archive_timeout = 60
#	archive_command = '/etc/terse/archive.sh %p %f /backup/s1/wal'
#
# A segment is there whole or not at all, and never replaces another one. Postgres
# repeats what failed, and keeps the segment meanwhile.
set -eu
segment=$1 name=$2 archive=$3

if [ -e "$archive/$name" ]; then
	cmp -s "$segment" "$archive/$name" # kept by an earlier try that was not told
	exit
fi
cp "$segment" "$archive/.$name.part"
sync "$archive/.$name.part" 2>/dev/null || sync
mv "$archive/.$name.part" "$archive/$name"
