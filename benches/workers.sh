#!/usr/bin/env bash
# How much more two workers do than one when there are several exporters, without the kernel and without a sender beside
# them: datagrams lie in memory. Wants two processors that do nothing else.
#
#   benches/workers.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --release -p netflow-probe-example --example workers
"${CARGO_TARGET_DIR:-target}/release/examples/workers" "${1:-5}"
