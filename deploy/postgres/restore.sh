#!/bin/sh
# Makes a data folder that shows a shard as it was at a moment, from a base backup
# (pg_basebackup in its plain format) that ended before, and the WAL since:
#
#	restore.sh /backup/s1/base/2026-11-25 /backup/s1/wal '2026-11-25 14:03:00+00' /var/lib/postgresql/restored
#
# Run it as the user of Postgres, then start Postgres on the folder: it replays up to
# the moment, and then takes writes on a timeline of its own. It keeps no WAL until
# archive_mode is set again, so that the archive stays as it is until somebody has
# looked at what was restored.
set -eu
base=$1 archive=$2 moment=$3 data=$4

if [ -e "$data" ]; then
	echo "$data is there already: move it away" >&2
	exit 1
fi
for needed in "$base/backup_label" "$archive"; do
	if [ ! -e "$needed" ]; then
		echo "$needed is missing" >&2
		exit 1
	fi
done
mkdir -m 700 "$data"
cp -R "$base/." "$data/"
rm -f "$data/standby.signal"
cat >>"$data/postgresql.auto.conf" <<END
restore_command = 'cp "$archive/%f" "%p"'
recovery_target_time = '$moment'
recovery_target_action = 'promote'
recovery_target_timeline = 'latest'
archive_mode = off
synchronous_standby_names = ''
END
touch "$data/recovery.signal"
echo "$data will show the shard of $moment"
