"""Where attention falls relative to the query."""

from attnprobe.metrics.kinds import OffsetMetric

self_share = OffsetMetric(
    of_offset=lambda offset, long_range: offset == 0,
    formula="a[q,q]",
    unit="share",
    source="Clark et al. 2019",
)

previous_share = OffsetMetric(
    of_offset=lambda offset, long_range: offset == -1,
    formula="a[q,q−1]; 0 for the first token",
    unit="share",
    source="Clark et al. 2019; the mean is over all queries, as theirs",
)

next_share = OffsetMetric(
    of_offset=lambda offset, long_range: offset == 1,
    formula="a[q,q+1]; 0 for the last token",
    unit="share",
    source="Clark et al. 2019; the mean is over all queries, as theirs",
)

distance = OffsetMetric(
    of_offset=lambda offset, long_range: abs(offset),
    formula="Σₖ a[q,k]·|k−q|",
    unit="tokens",
    source="Vig & Belinkov 2019 (theirs is for causal models)",
)

offset = OffsetMetric(
    of_offset=lambda offset, long_range: offset,
    formula="Σₖ a[q,k]·(k−q)",
    unit="tokens, signed",
    source="attnprobe; negative where a head prefers the left",
)

long_range_share = OffsetMetric(
    of_offset=lambda offset, long_range: abs(offset) >= long_range,
    formula="Σ a[q,k] over |k−q| ≥ W, W = --long-range",
    unit="share",
    source="attnprobe; W is part of the result's signature",
)
