import type { Value } from '../../graph/index.ts';
import * as g from '../../graph/index.ts';
import { unitLength } from '../../models/contrast.ts';
import { dinoFeatures } from '../../models/dino/index.ts';
import { linear } from '../../nn/layers.ts';
import { type ParameterScope, Parameters } from '../../nn/parameters.ts';
import { zeros } from '../../tensor/host-tensor.ts';
import { DINO_RECIPE, dinoConfig, SIDE } from './configs.ts';
import { crossEntropy, pairLoss } from './contrastive.ts';
import { openDinoJudge } from './dino-judge.ts';
import { LOCAL_SIDE, LOCAL_VIEWS } from './dino-views.ts';
import { gradientProgram } from './gradient-program.ts';
import { initialParameters } from './initialize.ts';
import { type BatchRequest, CARRIED_PREFIX, type PretrainingTask } from './task.ts';

const HEAD = 'head';
const TEACHER = 'teacher';
const CENTRE = 'centre';
const HEAD_WIDTH = 256;
const BOTTLENECK = 64;
const PROTOTYPES = 1024;
const STUDENT_TEMPERATURE = 0.1;
const TEACHER_TEMPERATURE = 0.05;
const PAIR_TEMPERATURE = 0.1;
const TEACHER_DECAY = 0.99;
const CENTRE_DECAY = 0.9;

export const isDinoHead = (name: string): boolean => name.startsWith(`${HEAD}.`);

interface Projection {
  /** Unit rows [B, 64]. */
  readonly unit: Value;
  /** Cosines with the prototypes [B, K]. */
  readonly scores: Value;
}

/** DINO's head: an MLP to a unit-length bottleneck, then unit-length prototypes. */
function project(scope: ParameterScope, features: Value): Projection {
  const head = scope.at(HEAD);
  const hidden = g.gelu(linear(head.at('mlp', 0), features, HEAD_WIDTH));
  const unit = unitLength(linear(head.at('mlp', 1), hidden, BOTTLENECK));
  const prototypes = unitLength(head.at('prototypes').get('weight', [PROTOTYPES, BOTTLENECK]));
  return { unit, scores: g.linear(unit, prototypes) };
}

/**
 * Self-distillation with no labels (Caron et al., "Emerging Properties in Self-Supervised Vision
 * Transformers", 2021): a student that sees two whole and several small views must agree with its own
 * moving average, which sees the whole ones, after centring and sharpening. What is particular here: the
 * two whole views are two renderings of one subject in different places, so that the background cannot be
 * what they share; and beside the prototypes each view must find its partner in the batch (as in MoCo v3),
 * which makes it learn in a small batch. Teacher and centre are carried from step to step.
 */
export function dinoTask({ cacheFolder, batch = DINO_RECIPE.batch }: BatchRequest): PretrainingTask {
  const config = dinoConfig();
  const parameters = new Parameters(() => true);
  const student = parameters.root;
  const teacherParameters = new Parameters(() => true);
  const teacher = teacherParameters.scope(TEACHER);
  const whole = g.input('whole', [2 * batch, 3, SIDE, SIDE]);
  const small = g.input('small', [LOCAL_VIEWS * batch, 3, LOCAL_SIDE, LOCAL_SIDE]);
  const centre = g.input(CENTRE, [1, PROTOTYPES]);

  const own = project(student, dinoFeatures(config, student, whole));
  const parts = project(student, dinoFeatures(config, student, small));
  const taught = project(teacher, dinoFeatures(config, teacher, whole));
  const targets = g.chunk(g.softmax(g.mul(g.sub(taught.scores, centre), 1 / TEACHER_TEMPERATURE)), 0, 2); // [B, K] of each whole view
  const guesses = [...g.chunk(own.scores, 0, 2), ...g.chunk(parts.scores, 0, LOCAL_VIEWS)];
  const terms = guesses.flatMap((guess, view) =>
    targets
      .filter((_, target) => target !== view)
      .map((target) => crossEntropy(g.mul(guess, 1 / STUDENT_TEMPERATURE), target)),
  );
  const distillation = g.mul(terms.reduce(g.add), 1 / terms.length);

  const [left, right] = g.chunk(own.unit, 0, 2);
  const [leftTaught, rightTaught] = g.chunk(taught.unit, 0, 2);
  const partner = (a: Value, b: Value) =>
    pairLoss(g.mul(g.matmul(a, b, { transposeB: true }), 1 / PAIR_TEMPERATURE));
  const pairs = g.mul(0.5, g.add(partner(left, rightTaught), partner(right, leftTaught)));

  const outputs: Record<string, Value> = {
    distillation,
    pairs,
    [`${CARRIED_PREFIX}${CENTRE}`]: moved(centre, g.mean(taught.scores, [0], true), CENTRE_DECAY),
  };
  for (const [name, { value }] of parameters.declared) {
    const teacherName = `${TEACHER}.${name}`;
    const known = teacherParameters.declared.get(teacherName)!.value;
    outputs[CARRIED_PREFIX + teacherName] = moved(known, value, TEACHER_DECAY);
  }
  const loss = g.add(distillation, pairs);
  const initialize = (seed: number) =>
    initialParameters(parameters.declared, seed, [
      [/^(cls_token|pos_embed)$/, { std: 0.02 }],
      [/(attn\.proj|mlp\.fc2)\.weight$/, { std: 1 / Math.sqrt(2 * config.blocks * config.width) }],
    ]);
  return {
    recipe: { ...DINO_RECIPE, batch },
    program: gradientProgram('pretrain-dino', parameters, { ...outputs, loss }),
    trainable: parameters.declared,
    frozen: new Map(),
    fixed: new Map(),
    initialize,
    // The teacher starts as the student does.
    carried: (seed) =>
      new Map([
        [CENTRE, zeros('f32', [1, PROTOTYPES])],
        ...[...initialize(seed)].map(([name, tensor]) => [`${TEACHER}.${name}`, tensor] as const),
      ]),
    openReview: async (runtime) => {
      const judge = await openDinoJudge(runtime, cacheFolder, 'development');
      return async (weights) => ({ numbers: await judge(weights), sheets: [] });
    },
  };
}

/** decay·average + (1 − decay)·value. */
function moved(average: Value, value: Value, decay: number): Value {
  return g.add(g.mul(average, decay), g.mul(value, 1 - decay));
}
