#!/usr/bin/env bash
# Which heads give most of their attention to the token before? Lines in, the top heads out, with standard tools.
#
#   examples/shell_pipeline.sh                                  on the lines of the Zen of Python
#   zcat reviews.txt.gz | examples/shell_pipeline.sh - entropy  on any lines, by any metric
set -euo pipefail

input=${1:-}               # "-" reads standard input
metric=${2:-previous_share}
top=${3:-5}

texts() {
    if [ "$input" = - ]; then cat; else python -c 'import this' | grep .; fi
}

# `attnprobe corpus -` takes a text a line and writes rows as it goes: id, n_tokens, layer, head, and the metric.
# Numbers are bare and missing values empty, so awk can add up the last column, by the two before it.
# LC_ALL=C makes awk and sort write and read 0.5 where the locale would have 0,5.
texts | attnprobe corpus - -k "$metric" -f csv |
    LC_ALL=C awk -F, '
        NR > 1 && $NF != "" { head = $(NF - 2) "," $(NF - 1); sum[head] += $NF; texts[head]++ }
        END { for (head in sum) printf "%s,%.4f,%d\n", head, sum[head] / texts[head], texts[head] }' |
    LC_ALL=C sort -t, -k3,3gr -k1,1n -k2,2n |
    awk -v top="$top" -v metric="$metric" 'BEGIN { print "layer,head,mean_" metric ",texts" } NR <= top'
