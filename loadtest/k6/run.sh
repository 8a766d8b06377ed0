#!/bin/sh
# Runs a scenario: run.sh K6 SCENARIO. Its settings are environment variables: BASE_URL or the
# file STACK, and the variables that the scenario file reads. k6 sends no usage reports and
# loads no extensions.
set -eu
k6=$1 scenario=$2
folder=$(dirname "$0")
case "$scenario" in
smoke | load | spike | soak | stress) ;;
*)
	echo "SCENARIO must be smoke, load, spike, soak or stress, not \"$scenario\"" >&2
	exit 2
	;;
esac
export K6_NO_USAGE_REPORT=true K6_AUTO_EXTENSION_RESOLUTION=false
exec "$k6" run --quiet --no-color --address "" "$folder/$scenario.js"
