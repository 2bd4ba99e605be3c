#!/usr/bin/env bash
# Prints the session of the README, to be pasted there: `tests/session.sh target/debug/reconciler`.
# It works on a copy of desired-state/ in /tmp/demo, and shortens hashes to eight digits. What the
# agent logged stands where it was logged, among the commands of the second terminal.
set -euo pipefail
exec > >(sed -E 's/\b([0-9a-f]{8})[0-9a-f]{56}\b/\1/g')
binary=$(realpath "$1")
repository=$(realpath "$(dirname "$0")/..")
rm -rf /tmp/demo && mkdir /tmp/demo && cd /tmp/demo
cp -r "$repository/desired-state" .
unset RECONCILER_CONFIG STATE_DIRECTORY
reconciler() { "$binary" "$@"; }
shown=0
agent_says() { tail -c +$((shown + 1)) log; shown=$(stat -c %s log); }
say() { agent_says; printf '%s\n' "$1"; }

printf '$ reconciler --dry-run\n'
reconciler --dry-run 2>&1
printf '\n$ reconciler\n'
"$binary" >log 2>&1 &
agent=$!
sleep 6
say '                                    # kube/mycluster.yaml is edited'
sed -i 's/team: dev/team: platform/' desired-state/kube/mycluster.yaml
sleep 2
say '                                    # a role is changed by hand'
printf '$ reconciler plane get role/visitor | sed "s/- visitor/- root/" | reconciler plane set -\n'
reconciler plane get role/visitor | sed 's/- visitor/- root/' | reconciler plane set -
sleep 2
say '                                    # a broken file is added, and removed again'
printf 'kind: role\nversion: v7\nmetadata:\n  name: dba\nspec:\n  alow: {}\n' >desired-state/roles/dba.yaml
sleep 2
rm desired-state/roles/dba.yaml
sleep 2
say '                                    # the manifest of the workload cluster is deleted'
rm desired-state/clusters/company-organization.yaml
sleep 3
say '$ reconciler status'
reconciler status | tee status
hash=$(sed -n 's/.*reconciler approve \([0-9a-f]*\).*/\1/p' status)
printf '$ reconciler approve %s\n' "${hash:0:8}"
reconciler approve "${hash:0:8}"
sleep 12
say '                                    # Ctrl-C'
kill -INT $agent
wait $agent
agent_says
rm -rf /tmp/demo
