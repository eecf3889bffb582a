#!/bin/sh
# The whole journey on dumps of a real API server: state A (before the update) to D (done).
set -eu
cd "$(dirname "$0")/.."
A=examples/clusters/A-before-4.18.yaml
C=examples/clusters/C-after-temporary-role-left.yaml
D=examples/clusters/D-after-clean.yaml
OUT=build/demo
rm -rf "$OUT"

# Shows a command, runs it, and says how it exited: 1 means that there is something to do.
run() {
    printf '\n$ %s\n' "$*"
    code=0
    "$@" || code=$?
    printf '(exit code %s)\n' "$code"
    [ "$code" -le 1 ]
}

echo "1. Where does the cluster stand?"
run rbacguard status -f "$A"
echo
echo "2. Who loses live migration by the update to 4.20, and what can be done?"
run rbacguard plan -f "$A" --to 4.20
echo
echo "3. Why does alice hold it?"
run rbacguard can-i create virtualmachineinstancemigrations.kubevirt.io -n payments --as alice -f "$A"
echo
echo "4. Write the manifests for those whom the approvals file approves."
run rbacguard generate -f "$A" --to 4.20 --approvals examples/approvals.yaml --out "$OUT"
run cat "$OUT/10-before-update/rolebinding-payments-rbacguard-live-migration.yaml"
echo
echo "5. After an update by the documented procedure: not clean."
run rbacguard verify -f "$C" --before "$A" --approvals examples/approvals.yaml
echo
echo "6. After the clean-up: clean."
run rbacguard verify -f "$D" --before "$A" --approvals examples/approvals.yaml
