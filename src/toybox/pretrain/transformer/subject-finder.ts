import type { Value } from '../../../graph/index.ts';
import * as g from '../../../graph/index.ts';
import { type ParameterScope, Parameters } from '../../../nn/parameters.ts';
import type { Runtime } from '../../../runtime/index.ts';
import { floats } from '../../../tensor/host-tensor.ts';
import { randomStream } from '../../../tensor/random.ts';
import { SIDE } from '../configs.ts';
import { gradientProgram } from '../gradient-program.ts';
import { initialParameters } from '../initialize.ts';
import type { MaskedClip, Scrambler } from './scrambler.ts';

/** Frames are looked at at this side, and answered at half of it. */
const SEEN = 32;
export const PRESENCE_SIDE = 16;
/** The frame, its difference from the clip's median picture (both RGB), and how much a place changes over the clip. */
const CHANNELS = 7;
const WIDTH = 32;
/** Frames at a time. */
const BATCH = 90;
const LEARNING_RATE = 2e-3;
const WARMUP = 50;
const EPOCHS = 4;
const SEED = 1;

/** Where the subject is: the share of each cell that it covers, [F, 16, 16] for each clip [F, 64, 64, 3]. */
export type SubjectFinder = (clips: readonly Uint8Array[]) => Promise<Float32Array[]>;

/**
 * A small convolutional network that tells the subject from the scene, taught by renderings, whose alpha is known;
 * every other one also with broken texture. It sees them with other contrast and as negatives, so that it learns what
 * is in front of what, not which colours subjects have.
 */
export async function trainSubjectFinder(
  runtime: Runtime,
  clips: readonly MaskedClip[],
  scrambler: Scrambler,
): Promise<SubjectFinder> {
  const again = clips.filter((_, i) => i % 2 === 0);
  const broken = await scrambler.scramble(again, 0);
  const lessons = [...clips, ...again.map(({ mask }, i) => ({ frames: broken[i], mask }))];
  const parameters = new Parameters(() => true);
  const logits = network(parameters.root, g.input('frames', [BATCH, CHANNELS, SEEN, SEEN]));
  const wanted = g.input('presence', [BATCH, 1, PRESENCE_SIDE, PRESENCE_SIDE]);
  const presence = g.sigmoid(logits);
  // Binary cross entropy: log(1 + e^z) − y·z, without overflow.
  const softplus = g.add(g.relu(logits), g.log(g.add(1, g.exp(g.neg(g.abs(logits))))));
  const loss = g.mean(g.sub(softplus, g.mul(wanted, logits)));
  const trainer = await runtime.createTrainer({
    tensors: [...parameters.declared].map(([name, { shape }]) => ({ name, shape, group: 'model' })),
    optimizer: { betas: [0.9, 0.99], epsilon: 1e-8, weightDecay: 0.01, maxGradientNorm: 1 },
  });
  await trainer.load({ parameters: initialParameters(parameters.declared, SEED, []) });
  const learner = await runtime.compile(gradientProgram('subject-finder', parameters, { loss }), { trainer });

  const seen = lessons.map(({ frames }) => picturesOf(frames));
  const covered = lessons.map(({ mask }) => coverOf(mask));
  const [area, cells] = [CHANNELS * SEEN * SEEN, PRESENCE_SIDE ** 2];
  const framesEach = seen[0].length / area;
  const steps = Math.ceil((EPOCHS * lessons.length * framesEach) / BATCH);
  for (let step = 0; step < steps; step++) {
    const stream = randomStream(SEED, 'subject finder', step);
    const frames = new Float32Array(BATCH * area);
    const masks = new Float32Array(BATCH * cells);
    for (let b = 0; b < BATCH; b++) {
      const clip = stream.integer(lessons.length);
      const frame = stream.integer(framesEach);
      const gain = (stream.integer(4) === 0 ? -1 : 1) * (0.7 + 0.6 * stream.uniform());
      const picture = seen[clip].subarray(frame * area, (frame + 1) * area);
      for (let i = 0; i < area; i++) {
        // The last channel is a size, which no negative changes.
        frames[b * area + i] = picture[i] * (i < (CHANNELS - 1) * SEEN * SEEN ? gain : Math.abs(gain));
      }
      masks.set(covered[clip].subarray(frame * cells, (frame + 1) * cells), b * cells);
    }
    const learningRate =
      LEARNING_RATE * Math.min(1, (step + 1) / WARMUP) * 0.5 * (1 + Math.cos((Math.PI * step) / steps));
    const batch = {
      frames: floats([BATCH, CHANNELS, SEEN, SEEN], frames),
      presence: floats([BATCH, 1, PRESENCE_SIDE, PRESENCE_SIDE], masks),
    };
    await learner.trainStep({ microBatches: [batch], learningRate });
  }
  const finder = await runtime.compile(g.program('subject-presence', { presence }), { trainer });
  return async (clips) => {
    const pictures = clips.map(picturesOf);
    const each = pictures[0].length / area;
    const all = new Float32Array(clips.length * each * cells);
    for (let from = 0; from < clips.length * each; from += BATCH) {
      const count = Math.min(BATCH, clips.length * each - from);
      const frames = new Float32Array(BATCH * area);
      for (let b = 0; b < count; b++) {
        const at = from + b;
        const frame = at % each;
        frames.set(pictures[Math.floor(at / each)].subarray(frame * area, (frame + 1) * area), b * area);
      }
      const found = await finder.run({ frames: floats([BATCH, CHANNELS, SEEN, SEEN], frames) });
      all.set((found.presence.data as Float32Array).subarray(0, count * cells), from * cells);
    }
    return clips.map((_, i) => all.slice(i * each * cells, (i + 1) * each * cells));
  };
}

/** Logits [B, 1, 16, 16] of the share that the subject covers. */
function network(scope: ParameterScope, frames: Value): Value {
  const layer = (x: Value, name: string, out: number, stride = 1) => {
    const weight = scope.get(`${name}.weight`, [out, x.shape[1], 5, 5]);
    return g.conv2d(x, weight, { bias: scope.get(`${name}.bias`, [out]), stride, padding: 2 });
  };
  let x = g.silu(layer(frames, 'conv1', WIDTH, SEEN / PRESENCE_SIDE));
  x = g.silu(layer(x, 'conv2', WIDTH));
  x = g.silu(layer(x, 'conv3', WIDTH));
  return layer(x, 'conv4', 1);
}

/** What the network sees of a clip, [F, 7, 32, 32]. */
function picturesOf(clip: Uint8Array): Float32Array {
  const frames = clip.length / (SIDE * SIDE * 3);
  const [area, block] = [SEEN * SEEN, SIDE / SEEN];
  const small = new Float32Array(frames * 3 * area);
  for (let i = 0; i < clip.length; i++) {
    const pixel = Math.floor(i / 3);
    const [frame, place] = [Math.floor(pixel / (SIDE * SIDE)), pixel % (SIDE * SIDE)];
    const cell = Math.floor(Math.floor(place / SIDE) / block) * SEEN + Math.floor((place % SIDE) / block);
    small[(frame * 3 + (i % 3)) * area + cell] += clip[i] / (127.5 * block * block);
  }
  const out = new Float32Array(frames * CHANNELS * area);
  const values = new Float32Array(frames);
  for (let i = 0; i < 3 * area; i++) {
    for (let frame = 0; frame < frames; frame++) values[frame] = small[frame * 3 * area + i];
    const median = values.slice().sort()[Math.floor(frames / 2)];
    const change = (Math.max(...values) - Math.min(...values)) / 3;
    for (let frame = 0; frame < frames; frame++) {
      const at = frame * CHANNELS * area;
      out[at + i] = values[frame] - 1;
      out[at + 3 * area + i] = 2 * (values[frame] - median);
      out[at + 6 * area + (i % area)] += change;
    }
  }
  return out;
}

/** Alpha [F, 64, 64] as the share of each cell, [F, 16, 16]. */
function coverOf(mask: Uint8Array): Float32Array {
  const block = SIDE / PRESENCE_SIDE;
  const out = new Float32Array(mask.length / block ** 2);
  for (let at = 0; at < mask.length; at++) {
    const [frame, place] = [Math.floor(at / (SIDE * SIDE)), at % (SIDE * SIDE)];
    const row = Math.floor(Math.floor(place / SIDE) / block);
    out[(frame * PRESENCE_SIDE + row) * PRESENCE_SIDE + Math.floor((place % SIDE) / block)] +=
      mask[at] / (255 * block * block);
  }
  return out;
}
