import * as g from '../../../graph/index.ts';
import { linear } from '../../../nn/layers.ts';
import { Parameters } from '../../../nn/parameters.ts';
import type { Runtime } from '../../../runtime/index.ts';
import { floats } from '../../../tensor/host-tensor.ts';
import { randomStream } from '../../../tensor/random.ts';
import { crossEntropy } from '../contrastive.ts';
import { gradientProgram } from '../gradient-program.ts';
import { initialParameters } from '../initialize.ts';

const HIDDEN = 192;
const BATCH = 100;
const EPOCHS = 20;
const LEARNING_RATE = 1e-3;
/** Standard deviation of the noise on standardised features while it learns. */
const NOISE = 0.3;
const SEED = 1;

/** Index of the most likely class of each row of features. */
export type MotionClassifier = (features: readonly Float32Array[]) => Promise<number[]>;

/** A perceptron with one hidden layer, trained on features [n][d] of known class. */
export async function trainMotionClassifier(
  runtime: Runtime,
  features: readonly Float32Array[],
  classes: readonly number[],
  classCount: number,
): Promise<MotionClassifier> {
  const width = features[0].length;
  const standardised = standardiser(features);
  const parameters = new Parameters(() => true);
  const input = g.input('features', [BATCH, width]);
  const hidden = g.silu(linear(parameters.root.at('hidden'), input, HIDDEN));
  const scores = linear(parameters.root.at('scores'), hidden, classCount);
  const loss = crossEntropy(scores, g.input('targets', [BATCH, classCount]));
  const training = gradientProgram('motion-classifier', parameters, { loss });
  const trainer = await runtime.createTrainer({
    tensors: [...parameters.declared].map(([name, { shape }]) => ({ name, shape, group: 'model' })),
    optimizer: { betas: [0.9, 0.99], epsilon: 1e-8, weightDecay: 0.1, maxGradientNorm: 1 },
  });
  await trainer.load({ parameters: initialParameters(parameters.declared, SEED, []) });
  const learner = await runtime.compile(training, { trainer });
  const steps = Math.ceil((EPOCHS * features.length) / BATCH);
  for (let step = 0; step < steps; step++) {
    const stream = randomStream(SEED, 'motion classifier', step);
    const rows = new Float32Array(BATCH * width);
    const targets = new Float32Array(BATCH * classCount);
    for (let b = 0; b < BATCH; b++) {
      const i = stream.integer(features.length);
      rows.set(standardised(features[i]), b * width);
      targets[b * classCount + classes[i]] = 1;
    }
    const noise = stream.normals(rows.length);
    const learningRate = LEARNING_RATE * 0.5 * (1 + Math.cos((Math.PI * step) / steps));
    await learner.trainStep({
      microBatches: [
        {
          features: floats(
            [BATCH, width],
            rows.map((value, i) => value + NOISE * noise[i]),
          ),
          targets: floats([BATCH, classCount], targets),
        },
      ],
      learningRate,
    });
  }
  const judge = await runtime.compile(g.program('motion-scores', { scores }), { trainer });
  return async (asked) => {
    const found: number[] = [];
    for (let from = 0; from < asked.length; from += BATCH) {
      const count = Math.min(BATCH, asked.length - from);
      const rows = new Float32Array(BATCH * width);
      for (let b = 0; b < count; b++) rows.set(standardised(asked[from + b]), b * width);
      const result = await judge.run({ features: floats([BATCH, width], rows) });
      for (let b = 0; b < count; b++) {
        const own = [...(result.scores.data as Float32Array).subarray(b * classCount, (b + 1) * classCount)];
        found.push(own.indexOf(Math.max(...own)));
      }
    }
    return found;
  };
}

/** (x − mean) / deviation by dimension, of the given features. */
function standardiser(features: readonly Float32Array[]): (row: Float32Array) => Float32Array {
  const width = features[0].length;
  const [mean, square] = [new Float64Array(width), new Float64Array(width)];
  for (const row of features) {
    for (let i = 0; i < width; i++) {
      mean[i] += row[i] / features.length;
      square[i] += row[i] ** 2 / features.length;
    }
  }
  const deviation = square.map((value, i) => Math.sqrt(Math.max(value - mean[i] ** 2, 0)) + 1e-6);
  return (row) => row.map((value, i) => Math.max(-5, Math.min(5, (value - mean[i]) / deviation[i])));
}
