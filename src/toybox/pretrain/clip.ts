import * as g from '../../graph/index.ts';
import { preprocess } from '../../media/preprocess.ts';
import { clipImageFeatures, clipLogits, clipTextFeatures } from '../../models/clip/index.ts';
import { Parameters } from '../../nn/parameters.ts';
import { hostTensor } from '../../tensor/host-tensor.ts';
import { randomStream } from '../../tensor/random.ts';
import { createUniverse } from '../universe/universe.ts';
import { openClipJudge } from './clip-judge.ts';
import { CLIP_PREPROCESS, CLIP_RECIPE, clipConfig, SIDE } from './configs.ts';
import { pairAccuracy, pairLoss } from './contrastive.ts';
import { gradientProgram } from './gradient-program.ts';
import { initialParameters } from './initialize.ts';
import type { Batcher, BatchRequest, PretrainingTask } from './task.ts';
import { clipTokenizerFiles, TEXT_TOKENS, tokenizerOf } from './tokenizers.ts';

const CLIP_FRAMES = 9;
const FRAME_BYTES = SIDE * SIDE * 3;

/** Scenes of a batch: most of it can then be told apart by its subjects and motions alone. */
const SCENES = 3;
/** Samples looked through for each place of a batch, to find one in those scenes. */
const CANDIDATES = 64;

/** Half single pictures, half moments of clips, in few scenes, each with its caption; no caption twice in a batch. */
export function clipBatcher({ seed, cacheFolder, batch = CLIP_RECIPE.batch }: BatchRequest): Batcher {
  const settings = { seed, split: 'pretraining', stage: CLIP_RECIPE.stage, cacheFolder } as const;
  const pictures = createUniverse({ ...settings, frames: 1 });
  const clips = createUniverse({ ...settings, frames: CLIP_FRAMES });
  const tokenizer = tokenizerOf(clipTokenizerFiles(), 'CLIP');
  return (step) => {
    const pixels = new Uint8Array(batch * FRAME_BYTES);
    const ids: bigint[] = [];
    const captions = new Set<string>();
    const { scenes } = pictures.catalogue;
    const order = randomStream(seed, 'scenes', step).permutation(scenes.length);
    const chosen = new Set(order.slice(0, SCENES).map((at) => scenes[at].id));
    for (let b = 0; b < batch; b++) {
      const universe = b % 2 === 0 ? pictures : clips;
      const first = (step * batch + b) * CANDIDATES;
      let index = first;
      for (; index < first + CANDIDATES - 1; index++) {
        const { scene, caption } = universe.describe(index);
        if (chosen.has(scene.id) && !captions.has(caption)) break;
      }
      const { frames, caption } = universe.render(index);
      captions.add(caption);
      const at = randomStream(seed, 'frame', step, b).integer(frames.length / FRAME_BYTES);
      pixels.set(frames.subarray(at * FRAME_BYTES, (at + 1) * FRAME_BYTES), b * FRAME_BYTES);
      ids.push(...tokenizer.encode(caption, TEXT_TOKENS).ids.data);
    }
    return {
      pixels: preprocess(hostTensor('u8', [batch, SIDE, SIDE, 3], pixels), CLIP_PREPROCESS),
      ids: hostTensor('i64', [batch, TEXT_TOKENS], BigInt64Array.from(ids)),
    };
  };
}

/** CLIP's symmetric contrastive objective (Radford et al., 2021, figure 3) on rendered pictures. */
export function clipTask({ cacheFolder, batch = CLIP_RECIPE.batch }: BatchRequest): PretrainingTask {
  const config = clipConfig();
  const parameters = new Parameters(() => true);
  const scope = parameters.root;
  const image = clipImageFeatures(config, scope, g.input('pixels', [batch, 3, SIDE, SIDE]));
  const text = clipTextFeatures(config, scope, { ids: g.input('ids', [batch, TEXT_TOKENS], 'i64') });
  const logits = clipLogits(scope, image, text);
  const program = gradientProgram('pretrain-clip', parameters, {
    loss: pairLoss(logits),
    accuracy: pairAccuracy(logits),
  });
  const towers = [config.vision, config.text];
  const depthScale = 1 / Math.sqrt(2 * Math.max(...towers.map(({ blocks }) => blocks)));
  return {
    recipe: { ...CLIP_RECIPE, batch },
    program,
    trainable: parameters.declared,
    frozen: new Map(),
    fixed: new Map(),
    carried: () => new Map(),
    initialize: (seed) =>
      initialParameters(parameters.declared, seed, [
        [/^logit_scale$/, { constant: Math.log(1 / 0.07) }],
        [/(position|token|class)_embedding/, { std: 0.02 }],
        [/(out_proj|fc2)\.weight$/, { std: depthScale / Math.sqrt(config.vision.width) }],
      ]),
    openReview: async (runtime) => {
      const judge = await openClipJudge(runtime, cacheFolder);
      return async (weights) => ({ numbers: await judge(weights), sheets: [] });
    },
  };
}
