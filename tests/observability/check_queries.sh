#!/usr/bin/env bash
# check_queries.sh PROMTOOL DASHBOARD: each expression of the dashboard is PromQL. Prometheus checks them as rules.
set -euo pipefail
promtool=$1 dashboard=$2

rules=$(mktemp --suffix=.yml)
trap 'rm -f "$rules"' EXIT
printf 'groups:\n- name: dashboard\n  rules:\n' >"$rules"
# The expression as JSON is a double-quoted text of YAML too.
grep -oE '"expr": "([^"\\]|\\.)*"' "$dashboard" | sed 's/^"expr": //; s/\$__rate_interval/5m/g' |
    awk '{ print "  - record: query:number" NR "\n    expr: " $0 }' >>"$rules"
count=$(grep -c 'expr:' "$rules")
[ "$count" -ge 40 ] || { echo "only $count expressions were found"; exit 1; }
"$promtool" check rules "$rules"
