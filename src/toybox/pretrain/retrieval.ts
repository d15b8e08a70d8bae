/** Rows [N, E] scaled to length 1. */
export function unitRows(rows: Float32Array, width: number): Float32Array {
  const out = new Float32Array(rows.length);
  for (let at = 0; at < rows.length; at += width) {
    const row = rows.subarray(at, at + width);
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0)) || 1;
    for (let i = 0; i < width; i++) out[at + i] = row[i] / length;
  }
  return out;
}

/** Mean of every `count` unit rows, scaled to length 1 again: the embedding of a clip from its frames'. */
export function meanRows(rows: Float32Array, width: number, count: number): Float32Array {
  const out = new Float32Array(rows.length / count);
  for (let at = 0; at < rows.length; at += width) {
    const group = Math.floor(at / (width * count)) * width;
    for (let i = 0; i < width; i++) out[group + i] += rows[at + i] / count;
  }
  return unitRows(out, width);
}

/** For each row of `queries` the index of the most similar row of `gallery`; both are unit rows [·, E]. */
export function nearest(
  queries: Float32Array,
  gallery: Float32Array,
  width: number,
  isCandidate: (query: number, candidate: number) => boolean = () => true,
): number[] {
  const count = gallery.length / width;
  return Array.from({ length: queries.length / width }, (_, query) => {
    let best = -1;
    let highest = Number.NEGATIVE_INFINITY;
    for (let candidate = 0; candidate < count; candidate++) {
      if (!isCandidate(query, candidate)) continue;
      let score = 0;
      for (let i = 0; i < width; i++) score += queries[query * width + i] * gallery[candidate * width + i];
      if (score > highest) [best, highest] = [candidate, score];
    }
    return best;
  });
}

/** Share of true. */
export function share(hits: readonly boolean[]): number {
  return hits.filter(Boolean).length / hits.length;
}
