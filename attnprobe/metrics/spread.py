"""How sharp or wide one row of attention is."""

from attnprobe.metrics.kinds import RowMetric

SINK_THRESHOLD = 0.3

entropy = RowMetric(
    of_rows=lambda rows: rows.entropy,
    formula="−Σₖ a[q,k]·ln a[q,k], with 0·ln 0 = 0",
    unit="nats, 0 … ln n",
    source="Clark et al. 2019; without their smoothing, which moves real heads by 1.3e-3 nat",
)

relative_entropy = RowMetric(
    of_rows=lambda rows: rows.entropy / rows.reach.clamp_min(2).to(rows.entropy.dtype).log(),  # one key: 0 / ln 2 = 0
    needs_reach=True,
    formula="entropy / ln r, r = keys the query can reach; 0 where r = 1",
    unit="0 … 1",
    source="attnprobe; makes local and global layers, short and long texts comparable",
)

confidence = RowMetric(
    of_rows=lambda rows: rows.weights.masked_fill(rows.separators, 0).amax(-1),
    skips_separators=True,
    formula="maxₖ a[q,k], separators left out as keys and as queries",
    unit="0 … 1",
    source="Voita et al. 2019, who leave out the end-of-sentence symbol; as in the code of Michel et al. 2019",
)


sink_share = RowMetric(
    of_rows=lambda rows: (rows.first > SINK_THRESHOLD).to(rows.first.dtype),
    formula="1 if a[q, first token] > 0.3, else 0",
    unit="share of queries",
    source="attention sinks: Xiao et al. 2023; threshold after Gu et al. 2024",
)
