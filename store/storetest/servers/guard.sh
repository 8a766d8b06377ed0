# Owns a folder for as long as stdin stays open, which is until the process that
# started it closes the other end or dies, by whatever signal. Then it kills the
# servers of the folder and removes it.
#
#	guard.sh PARENT NAME	a new folder
#	guard.sh FOLDER		one whose guard was killed; at once
#
# Writes the path of a new folder to stdout. Every server leaves its process id
# in a file FOLDER/*.pid, and has the folder's path in its command line.
set -u
trap '' HUP INT TERM
if [ $# -eq 2 ]; then
	folder=$(mktemp -d "$1/$2-XXXXXX") || exit 1
	echo "$folder"
	exec >/dev/null 2>&1
	while read -r _; do :; done
else
	folder=${1%.gone}
	exec >/dev/null 2>&1
fi

# A server that is only now being started finds no place for its .pid file and
# gives up.
[ -d "$folder" ] && mv "$folder" "$folder.gone"
for file in "$folder.gone"/*.pid; do
	[ -f "$file" ] || continue
	pid=
	for _ in 1 2 3 4 5; do # the file exists a moment before its content
		read -r pid <"$file" && break
		sleep 0.1
	done
	[ -n "$pid" ] || continue
	case $(ps -ww -o args= -p "$pid") in
	*"$folder"*) ;;
	*) continue ;; # it has ended, and the id is another's
	esac
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
