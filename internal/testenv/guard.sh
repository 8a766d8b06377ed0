# Removes a folder of servers once stdin closes. stdin closes when the process that
# started this script closes the other end or dies, even by SIGKILL. The servers in
# the folder are killed first.
#
#	guard.sh PARENT NAME	make a new folder and wait
#	guard.sh FOLDER		at once, remove a folder that a killed guard left
#
# Writes the path of a new folder to stdout. Every server has its process id in a
# file FOLDER/*.pid, and the path of the folder in its command line.
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

# After the rename a server that is just starting cannot write its .pid file, and so
# does not start.
[ -d "$folder" ] && mv "$folder" "$folder.gone"
for file in "$folder.gone"/*.pid; do
	[ -f "$file" ] || continue
	pid=
	for _ in 1 2 3 4 5; do # the file may still be empty
		read -r pid <"$file" && break
		sleep 0.1
	done
	[ -n "$pid" ] || continue
	case $(ps -ww -o args= -p "$pid") in
	*"$folder"*) ;;
	*) continue ;; # the server has ended, and another process has its id
	esac
	kill -STOP "$pid" # a stopped server starts no more children
	# shellcheck disable=SC2046 # each word is one process
	kill -KILL "$pid" $(ps -A -o pid= -o ppid= | awk -v of="$pid" '$2 == of { print $1 }')
done

# A killed Postgres leaves a segment of shared memory. Line 7 of this file has its
# id.
for file in "$folder.gone"/*/postmaster.pid; do
	[ -f "$file" ] || continue
	ipcrm -m "$(awk 'NR == 7 { print $2 }' "$file")"
done

for _ in 1 2 3 4 5 6 7 8 9 10; do # dying servers may still write
	rm -rf "$folder.gone" && exit 0
	sleep 0.1
done
exit 1
