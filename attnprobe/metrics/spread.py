"""How sharp or wide one row of attention is."""

from attnprobe.metrics.kinds import RowMetric

SINK_THRESHOLD = 0.3

entropy = RowMetric(
    of_rows=lambda rows: rows.entropy,
    uses=("entropy",),
    needs_tokens=False,
    formula="−Σₖ a[q,k]·ln a[q,k], with 0·ln 0 = 0",
    unit="nats, 0 … ln n; a little more is possible where rows do not sum to 1 (outside_share)",
    source="Clark et al. 2019; without their smoothing, which moves real heads by 1.3e-3 nat",
)

relative_entropy = RowMetric(
    of_rows=lambda rows: rows.entropy / rows.reach.clamp_min(2).to(rows.entropy.dtype).log() * (rows.reach > 1),
    uses=("entropy", "reach"),
    needs_tokens=False,
    formula="entropy / ln r, r = keys the query can reach; 0 where r = 1",
    unit="0 … 1; a little more is possible where rows do not sum to 1 (outside_share)",
    source="attnprobe; makes local and global layers, short and long texts comparable",
)

confidence = RowMetric(
    of_rows=lambda rows: rows.largest,
    uses=("largest",),
    skips_separators=True,
    formula="maxₖ a[q,k], separators left out as keys and as queries",
    unit="0 … 1",
    source="Voita et al. 2019, who leave out the end-of-sentence symbol; as in the code of Michel et al. 2019",
)


sink_share = RowMetric(
    of_rows=lambda rows: (rows.first > SINK_THRESHOLD).to(rows.first.dtype),
    uses=("first",),
    formula="1 if a[q, first token] > 0.3, else 0",
    unit="share of queries",
    source="attention sinks: Xiao et al. 2023; threshold after Gu et al. 2024",
)

outside_share = RowMetric(
    of_rows=lambda rows: 1 - rows.weights.sum(-1),
    needs_outside=True,
    formula="1 − Σₖ a[q,k]; empty in layers where every row sums to 1 by construction",
    unit="share",
    source="attnprobe; what falls on no token of the text: learned sinks (gpt-oss), side tokens (LongT5, Pegasus-X)",
)
