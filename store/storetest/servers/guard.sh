# Owns a temporary folder for as long as stdin stays open, which is until the
# process that started it closes the other end or dies, by whatever signal.
# Then it kills the servers of the folder and removes it.
#
#	guard.sh PARENT
#
# Writes the path of the new folder to stdout. Every server leaves its process
# id in a file FOLDER/*.pid.
set -u
trap '' HUP INT TERM
folder=$(mktemp -d "$1/terse-XXXXXX") || exit 1
echo "$folder"
exec >/dev/null 2>&1
while read -r _; do :; done

# A server that is only now being started finds no place for its .pid file and
# gives up.
mv "$folder" "$folder.gone"
for file in "$folder.gone"/*.pid; do
	[ -f "$file" ] || continue
	pid=
	for _ in 1 2 3 4 5; do # the file exists a moment before its content
		read -r pid <"$file" && break
		sleep 0.1
	done
	[ -n "$pid" ] || continue
	kill -STOP "$pid" # stopped, it has no more children than these
	# shellcheck disable=SC2046 # many words are many processes
	kill -KILL "$pid" $(ps -A -o pid= -o ppid= | awk -v of="$pid" '$2 == of { print $1 }')
done

# A killed Postgres leaves its segment of shared memory, which line 7 of this
# file names.
for file in "$folder.gone"/*/postmaster.pid; do
	[ -f "$file" ] || continue
	ipcrm -m "$(awk 'NR == 7 { print $2 }' "$file")"
done

for _ in 1 2 3 4 5 6 7 8 9 10; do # dying servers may still write
	rm -rf "$folder.gone" && exit 0
	sleep 0.1
done
exit 1
