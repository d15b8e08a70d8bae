import * as g from '../../graph/index.ts';
import type { TransformerConfig } from '../../models/cogvideox/transformer/index.ts';
import { DualrealError, ShapeError } from '../../tensor/errors.ts';
import { formatShape } from '../../tensor/shape.ts';
import { initialParameters } from '../dualreal/initialize.ts';
import { type Dimension, parameterGroup } from '../dualreal/names.ts';
import type { InitialSources, Method } from '../method.ts';
import {
  type BatchShape,
  byGroup,
  smallestBatch,
  type TraceOptions,
  traceModel,
  trainingProgram,
  velocityError,
  velocityLoss,
} from '../objective.ts';
import { maskInput, regionLoss } from '../region.ts';
import { subjectTokensInput, substituteToken } from '../subject-tokens.ts';
import { injectAdapters } from './adapters.ts';
import { type DreamVideoOptions, dreamVideoOptionsSchema } from './options.ts';
import { DREAMVIDEO_STAGES } from './stages.ts';

/** The learnt text embedding [E] of the subject's word. */
export const SUBJECT_TOKEN = 'subject_token';

const GROUPS = ['token', 'identity', 'motion'] as const;
type Group = (typeof GROUPS)[number];

/** What runs beside the base model. */
interface Parts {
  readonly token: boolean;
  readonly dimensions: readonly Dimension[];
  /** Appearance strength of each sample; absent: 1. */
  readonly strengths?: readonly number[];
}

const PARTS_OF_STAGE: Readonly<Record<Group, Parts>> = {
  token: { token: true, dimensions: [] },
  identity: { token: true, dimensions: ['identity'] },
  motion: { token: false, dimensions: ['motion'] },
};
const EVERYTHING: Parts = { token: true, dimensions: ['identity', 'motion'] };

/**
 * DreamVideo (Wei et al., CVPR 2024; VGen configs/dreamvideo) in a compact form: a learnt embedding of the
 * subject's word, identity adapters, and motion adapters that see a random frame; added with weight 1 each at
 * inference. docs/methods.md lists what differs from the original.
 */
export function dreamVideoMethod(options: Partial<DreamVideoOptions> = {}): Method {
  const complete = dreamVideoOptionsSchema.parse(options);
  const trace = (
    config: TransformerConfig,
    shape: BatchShape,
    { token, dimensions, strengths }: Parts,
    trainable: readonly string[],
    traceOptions: TraceOptions = {},
  ) =>
    traceModel(
      config,
      shape,
      (path) => trainable.includes(groupOf(path) ?? ''),
      (root, { text }) => ({
        hooks: injectAdapters({
          root,
          batch: shape.batch,
          bottleneck: Math.round(config.width * complete.bottleneckShare),
          dimensions,
          condition: shape.conditioned
            ? g.input('condition', [shape.batch, 1, complete.conditionDim])
            : undefined,
          ...(strengths && { strengths }),
        }),
        text: token
          ? substituteToken(text, subjectTokensInput(shape), root.get(SUBJECT_TOKEN, [config.textDim]))
          : text,
      }),
      traceOptions,
    );
  const parameters = (config: TransformerConfig) =>
    byGroup(trace(config, smallestBatch(config), EVERYTHING, []).parameters, GROUPS, groupOf);
  return {
    name: 'dreamvideo',
    options: complete,
    stages: DREAMVIDEO_STAGES,
    subjectWord: 'captions and prompts',
    inference: { guidance: 9, noiseOffset: 0.1 },
    parameters,
    initial: async (config, sources) => {
      const { seed } = sources;
      const adapters = [...parameters(config)].filter(([, { group }]) => group !== 'token');
      const token = await initialToken(config, sources);
      return new Map([[SUBJECT_TOKEN, token], ...initialParameters(new Map(adapters), seed)]);
    },
    objective: ({ config, stage, shape, trace: traceOptions }) => {
      const traced = trace(config, shape, PARTS_OF_STAGE[stage as Group], [stage], traceOptions);
      const loss = shape.masked
        ? regionLoss(velocityError(traced.output), maskInput(shape), 'elements')
        : velocityLoss(traced.output);
      const isLearning = (path: string) => groupOf(path) === stage;
      return trainingProgram(`dreamvideo-${stage}`, { loss }, traced.parameters, isLearning);
    },
    sampling: ({ config, shape, guided, live = [], trace: traceOptions }) => {
      const half = shape.batch / 2;
      const strengths = guided
        ? Array.from({ length: shape.batch }, (_, b) => (b < half ? 0 : 1))
        : undefined;
      const parts = { ...EVERYTHING, ...(strengths && { strengths }) };
      return g.program('sample-dreamvideo', {
        output: trace(config, shape, parts, live, traceOptions).output,
      });
    },
  };
}

function groupOf(path: string): string | undefined {
  if (path === SUBJECT_TOKEN) return 'token';
  const group = parameterGroup(path);
  return group === 'condition' ? 'motion' : group;
}

async function initialToken({ textDim }: TransformerConfig, { classWord }: InitialSources) {
  if (!classWord) {
    throw new DualrealError({
      where: 'method dreamvideo',
      expected: "the word for the subject's class, which the learnt word starts from",
      got: 'none',
    });
  }
  const token = await classWord();
  if (token.shape.length === 1 && token.shape[0] === textDim) return token;
  throw new ShapeError({
    where: 'embedding of the class word',
    expected: formatShape([textDim]),
    got: formatShape(token.shape),
  });
}
