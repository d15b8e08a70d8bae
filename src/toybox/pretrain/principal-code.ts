import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

/** Feature vectors of the cells of many frames, with the weight of each cell. */
export interface Cells {
  readonly side: number;
  readonly features: number;
  /** [n, side, side, features] */
  readonly data: Float32Array;
  /** [n, side, side] */
  readonly weight: Float32Array;
}

/** Directions of largest variance. */
export interface Principal {
  /** Unit vectors as rows [count][features], by falling variance. */
  readonly rows: readonly Float64Array[];
  readonly variances: readonly number[];
}

/** Four neighbouring cells become one: features [row, column, feature] of the square. */
export function squares({ side, features, data, weight }: Cells): Cells {
  const half = side / 2;
  const frames = weight.length / side ** 2;
  const out = new Float32Array(data.length);
  const weights = new Float32Array(frames * half * half);
  for (let cell = 0; cell < weights.length; cell++) {
    const x = cell % half;
    const y = Math.floor(cell / half) % half;
    const frame = Math.floor(cell / (half * half));
    for (let part = 0; part < 4; part++) {
      const from = (frame * side + 2 * y + (part >> 1)) * side + 2 * x + (part & 1);
      out.set(data.subarray(from * features, (from + 1) * features), (cell * 4 + part) * features);
      weights[cell] += weight[from] / 4;
    }
  }
  return { side: half, features: 4 * features, data: out, weight: weights };
}

/** The `count` directions in which cells vary most, of features whose mean is (nearly) 0. */
export function principal({ features, data, weight }: Cells, count: number): Principal {
  const sums = new Float64Array(features * features);
  let total = 0;
  for (let cell = 0; cell < weight.length; cell++) {
    const at = cell * features;
    total += weight[cell];
    for (let i = 0; i < features; i++) {
      const scaled = data[at + i] * weight[cell];
      for (let j = i; j < features; j++) sums[i * features + j] += scaled * data[at + j];
    }
  }
  const covariance = new Matrix(features, features);
  for (let i = 0; i < features; i++) {
    for (let j = i; j < features; j++) {
      const value = sums[i * features + j] / total;
      covariance.set(i, j, value);
      covariance.set(j, i, value);
    }
  }
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(covariance, {
    assumeSymmetric: true,
  });
  const order = [...realEigenvalues.keys()].sort((a, b) => realEigenvalues[b] - realEigenvalues[a]);
  const kept = order.slice(0, count);
  return {
    rows: kept.map((column) => Float64Array.from(eigenvectorMatrix.getColumn(column))),
    variances: kept.map((column) => Math.max(realEigenvalues[column], 0)),
  };
}

/** Coordinates of every cell along the given rows. */
export function project({ side, features, data, weight }: Cells, rows: readonly Float64Array[]): Cells {
  const out = new Float32Array(weight.length * rows.length);
  for (let cell = 0; cell < weight.length; cell++) {
    const own = data.subarray(cell * features, (cell + 1) * features);
    for (const [r, row] of rows.entries()) {
      let sum = 0;
      for (let i = 0; i < features; i++) sum += row[i] * own[i];
      out[cell * rows.length + r] = sum;
    }
  }
  return { side, features: rows.length, data: out, weight };
}
