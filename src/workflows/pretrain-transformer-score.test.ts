import { expect, it } from 'vitest';
import { formatTransformerScores } from './pretrain-transformer-score.ts';

const real = {
  scene: 1,
  subject: 0.5,
  motion: 0.75,
  still: 0.2,
  motions: [{ motion: 'jump', clips: 4, right: 3, takenFor: [{ motion: 'swing', clips: 1 }] }],
};

it('prints the bars, and what clips of each motion were taken for', () => {
  const generated = {
    scene: 0.9,
    subject: 0.5,
    motion: 0.25,
    still: 0.1,
    motions: [
      {
        motion: 'jump',
        clips: 4,
        right: 1,
        takenFor: [
          { motion: 'swing', clips: 2 },
          { motion: 'fly', clips: 1 },
        ],
      },
      { motion: 'spin', clips: 10, right: 10, takenFor: [] },
    ],
  };
  expect(formatTransformerScores({ real, generated }).split('\n')).toEqual([
    'transformer  scene    generated 90.0 % (bar 80.0 %: holds), real 100.0 %',
    'transformer  subject  generated 50.0 % (bar 50.0 %: holds), real 50.0 %',
    'transformer  motion   generated 25.0 % (bar 50.0 %: below), real 75.0 %',
    'transformer  motion, of first frames held still: generated 10.0 %, real 20.0 %',
    'generated clips, recognised of each motion:',
    '  jump           1/4   taken for swing 2, fly 1',
    '  spin         10/10',
  ]);
});

it('prints real clips alone where no others were made', () => {
  expect(formatTransformerScores({ real }).split('\n').slice(-2)).toEqual([
    'real clips, recognised of each motion:',
    '  jump           3/4   taken for swing 1',
  ]);
});
