#!/usr/bin/env bash
# Counts the instructions a record of the named hot paths under callgrind and compares them with the committed figures.
#
#   benches/instructions.sh            fails when one is more than 5 percent above its figure
#   benches/instructions.sh --update   writes the figures anew
set -euo pipefail
cd "$(dirname "$0")/.."

figures=benches/instructions.txt
limit=5 # percent

command -v valgrind >/dev/null || { echo "valgrind is not installed" >&2; exit 1; }
bench=$(cargo bench --locked -q -p netflow-benches --bench instructions --no-run --message-format=json |
    grep -o '"executable":"[^"]*"' | tail -n 1 | cut -d '"' -f 4)
[ -x "$bench" ] || { echo "the bench was not built" >&2; exit 1; }

compiler=$(rustc --version)
tool=$(valgrind --version)
counted=$(mktemp)
trap 'rm -f "$counted"' EXIT
{
    echo "# Instructions a record, counted by callgrind: written by benches/instructions.sh --update."
    echo "# $compiler, $tool, $(uname -m)"
    while read -r name records; do
        total=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null \
            --toggle-collect='*measured_hot_path*' "$bench" "$name" 2>&1 |
            sed -n 's/.*Collected : *\([0-9]*\).*/\1/p')
        [ "${total:-0}" -gt 0 ] || { echo "nothing was counted for $name" >&2; exit 1; }
        awk -v name="$name" -v total="$total" -v records="$records" \
            'BEGIN { printf "%-36s %7.1f\n", name, total / records }'
    done < <("$bench")
} >"$counted"

if [ "${1:-}" = --update ]; then
    cp "$counted" "$figures"
    cat "$figures"
    exit
fi
grep -qF "$compiler, $tool" "$figures" || {
    echo "The figures are of another compiler or tool and are compared all the same:"
    sed -n '2s/^# /  committed: /p' "$figures"
    sed -n '2s/^# /  here:      /p' "$counted"
}
awk -v limit="$limit" '
    /^#/ { next }
    FNR == NR { figure[$1] = $2; next }
    !($1 in figure) { printf "%-36s %7.1f  has no committed figure\n", $1, $2; bad++; next }
    {
        change = 100 * ($2 / figure[$1] - 1)
        failed = change > limit
        bad += failed
        printf "%-36s %7.1f  committed %7.1f  %+6.1f %%%s\n", $1, $2, figure[$1], change, failed ? "  ROSE" : ""
        delete figure[$1]
    }
    END {
        for (name in figure) { printf "%s is committed and no longer counted\n", name; bad++ }
        if (bad) { print "Update the figures only for a reason that the commit tells: benches/instructions.sh --update" }
        exit bad > 0
    }
' "$figures" "$counted"
