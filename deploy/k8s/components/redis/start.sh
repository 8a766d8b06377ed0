#!/bin/sh
# Starts the Redis or the sentinel of a pod: start.sh redis|sentinel
#
#   SELF       how the others reach this pod
#   PEERS      how all pods are reached, separated by spaces; the first is the master
#              where no sentinel knows better
#   PASSWORD   of the Redis servers and the sentinels, without quotes or spaces
#   MAXMEMORY  of Redis
#   DATA       a folder that can be written to
#   BIND       addresses to listen on; default all
set -eu

redis_port=6379 sentinel_port=26379 name=links
export REDISCLI_AUTH="$PASSWORD"

# master prints the host of the master that most sentinels may agree on: the first
# answer will do, since a sentinel makes a server that is wrong follow the right one.
master() {
	for peer in $PEERS; do
		host=$(timeout 2 redis-cli -h "$peer" -p "$sentinel_port" --raw sentinel get-master-addr-by-name "$name" 2>/dev/null | head -n 1)
		case "$host" in
		"" | ERR* | *" "*) ;;
		*)
			echo "$host"
			return
			;;
		esac
	done
	echo "${PEERS%% *}"
}

conf="$DATA/$1.conf"
umask 077
case "$1" in
redis)
	host=$(master)
	{
		echo "bind ${BIND:-* -::*}"
		echo "port $redis_port"
		echo "dir $DATA"
		echo "requirepass $PASSWORD"
		echo "masterauth $PASSWORD"
		echo "replica-announce-ip $SELF"
		echo "maxmemory $MAXMEMORY"
		echo "maxmemory-policy allkeys-lru"
		echo "save \"\""
		echo "appendonly no"
		[ "$host" = "$SELF" ] || echo "replicaof $host $redis_port"
	} >"$conf"
	exec redis-server "$conf"
	;;
sentinel)
	host=$(master)
	{
		echo "bind ${BIND:-* -::*}"
		echo "port $sentinel_port"
		echo "dir $DATA"
		echo "requirepass $PASSWORD" # also sent to the other sentinels
		echo "sentinel resolve-hostnames yes"
		echo "sentinel announce-hostnames yes"
		echo "sentinel announce-ip $SELF"
		echo "sentinel monitor $name $host $redis_port 2"
		echo "sentinel auth-pass $name $PASSWORD"
		echo "sentinel down-after-milliseconds $name 2000"
		echo "sentinel failover-timeout $name 10000"
		echo "sentinel parallel-syncs $name 2"
	} >"$conf"
	exec redis-server "$conf" --sentinel
	;;
*)
	echo "start.sh redis|sentinel" >&2
	exit 2
	;;
esac
