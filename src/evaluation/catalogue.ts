import type { MetricName } from './metric.ts';

/** What a metric is, for tables and help texts. */
export interface MetricCard {
  readonly title: string;
  /** What it says, in one sentence. */
  readonly meaning: string;
  /** Where the definition is from. */
  readonly source: string;
  readonly better: 'higher' | 'nearer to 0' | 'depends';
  /** Digits after the point in tables. */
  readonly digits: number;
}

export const METRIC_CARDS: Readonly<Record<MetricName, MetricCard>> = {
  'clip-t': {
    title: 'CLIP-T',
    meaning: 'cosine of prompt and frame, mean over frames',
    source: 'DreamVideo (VGen metric/cal_metric_DreamVideo.py); DualReal, section 4.1',
    better: 'higher',
    digits: 3,
  },
  'clip-i': {
    title: 'CLIP-I',
    meaning: 'cosine of reference photo and frame, mean over all pairs',
    source: 'DreamVideo (VGen metric/cal_metric_DreamVideo.py); DualReal, section 4.1',
    better: 'higher',
    digits: 3,
  },
  'dino-i': {
    title: 'DINO-I',
    meaning: 'cosine of reference photo and frame in DINO, mean over all pairs',
    source: 'DreamBooth; DreamVideo (VGen metric/cal_metric_DreamVideo.py)',
    better: 'higher',
    digits: 3,
  },
  't-cons': {
    title: 'T-Cons',
    meaning: 'cosine of consecutive frames in CLIP, mean over pairs',
    source: 'Gen-1 (Esser et al., 2023); DreamVideo',
    better: 'higher',
    digits: 3,
  },
  'motion-smoothness': {
    title: 'MS',
    meaning:
      'how well each odd frame is interpolated from its neighbours, 1 − mean absolute difference / 255',
    source: 'VBench motion_smoothness.py',
    better: 'higher',
    digits: 3,
  },
  'temporal-flickering': {
    title: 'T.Fli',
    meaning: '1 − mean absolute difference of consecutive frames / 255',
    source: 'VBench temporal_flickering.py, without its filter for static videos',
    better: 'higher',
    digits: 3,
  },
  'dynamic-degree': {
    title: 'DD',
    meaning: 'mean of the fastest 5 % of the optical flow in pixels, mean over pairs',
    source: 'VBench dynamic_degree.py, the averaged score before its threshold',
    better: 'depends',
    digits: 2,
  },
  'dynamic-degree-vbench': {
    title: 'DD yes/no',
    meaning: '1 where enough pairs of frames move, 0 else',
    source: 'VBench dynamic_degree.py',
    better: 'depends',
    digits: 2,
  },
  'dynamic-degree-deviation': {
    title: 'DD − ref',
    meaning: "DD minus the reference clips' mean DD, measured in the same way",
    source: 'DualReal, table 1',
    better: 'nearer to 0',
    digits: 2,
  },
  'motion-fidelity': {
    title: 'M-Fid',
    meaning: 'correlation of point trajectories with those of the most similar reference clip',
    source: 'Motion-Fidelity-Score (Yatim et al., CVPR 2024), on moving points only',
    better: 'higher',
    digits: 3,
  },
};
