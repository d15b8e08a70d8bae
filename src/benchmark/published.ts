import type { MetricName } from '../evaluation/index.ts';
import type { BenchmarkName } from './request.ts';

/** What the paper prints about one row of a table; only what is known for certain. */
export interface PublishedRow {
  /** The variant that it is about. */
  readonly variant: string;
  readonly title: string;
  readonly values: Partial<Readonly<Record<MetricName, number>>>;
}

export interface Published {
  readonly source: string;
  readonly rows: readonly PublishedRow[];
  /** What one should know when reading the numbers. */
  readonly remarks: readonly string[];
}

/** The paper's percentages, as its abstract prints them. */
export const PUBLISHED_IMPROVEMENTS: readonly { readonly metric: MetricName; readonly printed: number }[] = [
  { metric: 'clip-i', printed: 0.217 },
  { metric: 'dino-i', printed: 0.318 },
];

const ENCODERS =
  'The paper measures CLIP-I with a fine-tuned ViT-H/14, DINO-I with ViT-S/16, dynamic degree with RAFT and smoothness with AMT, on CogVideoX-5B at 480 × 720 and 49 frames. Numbers of another base or of other encoders stand beside its numbers, not against them.';

const DUALREAL = 'DualReal (ICCV 2025, arXiv 2505.02192)';

/** The paper's numbers beside ours. */
export const PUBLISHED: Partial<Readonly<Record<BenchmarkName, Published>>> = {
  table1: {
    source: `${DUALREAL}, Table 1`,
    rows: [
      {
        variant: 'dualreal',
        title: 'DualReal',
        values: {
          'clip-t': 0.323,
          'clip-i': 0.629,
          'dino-i': 0.551,
          't-cons': 0.983,
          'motion-smoothness': 0.978,
          'temporal-flickering': 0.965,
          'dynamic-degree': 14.96,
          'dynamic-degree-deviation': 2.94,
        },
      },
    ],
    remarks: [
      ENCODERS,
      'Its own row is given here. Of the four baselines only their common mean follows from what it prints: CLIP-I 0.493 and DINO-I 0.376.',
      "The reference clips' dynamic degree is 12.02 (14.96 − 2.94).",
    ],
  },
  table2: {
    source: `${DUALREAL}, Table 2`,
    rows: [
      {
        variant: 'without-groups',
        title: 'without weight groups',
        values: { 'dynamic-degree': 5.83, 'dynamic-degree-deviation': -3.21 },
      },
    ],
    remarks: [
      ENCODERS,
      'Measured on a smaller set, whose reference clips have a dynamic degree of 9.04. Its printed deviations do not follow from its dynamic degrees: 5.70 and 5.83 are −3.34 and −3.21 from 9.04, printed are −3.31 and −3.12; Table 3 prints −3.21 for the same row. The deviation here is the one that follows.',
    ],
  },
  table3: {
    source: `${DUALREAL}, Table 3`,
    rows: [
      {
        variant: 'groups-1',
        title: 'n = 1',
        values: { 'dynamic-degree': 5.83, 'dynamic-degree-deviation': -3.21 },
      },
    ],
    remarks: [
      ENCODERS,
      "The paper's model has 42 blocks and takes n = 1, 2, 7 and 42: one weight for each block is the last row here too.",
    ],
  },
};
