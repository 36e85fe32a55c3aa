// Medians and percentiles, of figures and of latencies taken with a clock that shows whole milliseconds only.

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * A percentile of latencies that were read off a clock with steps of `step`: those of one reading are taken as spread evenly over it.
 */
export function percentile(readings, share, step = 1) {
  const counts = new Map();
  for (const reading of readings) counts.set(reading, (counts.get(reading) ?? 0) + 1);
  const rank = share * readings.length;
  let below = 0;
  for (const [reading, count] of [...counts].sort(([a], [b]) => a - b)) {
    if (below + count >= rank) return Math.max(0, reading + step * ((rank - below) / count - 0.5));
    below += count;
  }
  return NaN;
}

/** Milliseconds that a run of operations has to take for the clock to tell its length. */
const RUN_MS = 10;

/**
 * The median latency. Where operations are shorter than the clock's step, it is the median over runs of operations that followed one
 * another, each long enough to be timed. `lanes` are the readings of each loop, in order.
 */
export function medianLatency(lanes) {
  const readings = lanes.flat();
  const mean = readings.reduce((sum, ms) => sum + ms, 0) / readings.length;
  const length = Math.max(1, Math.ceil(RUN_MS / Math.max(mean, 0.001)));
  if (mean >= RUN_MS) return percentile(readings, 0.5);
  const runs = [];
  for (const lane of lanes) {
    for (let from = 0; from + length <= lane.length; from += length) {
      runs.push(lane.slice(from, from + length).reduce((sum, ms) => sum + ms, 0) / length);
    }
  }
  return runs.length === 0 ? mean : percentile(runs, 0.5, 1 / length);
}
