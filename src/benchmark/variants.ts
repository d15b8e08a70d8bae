import { DUALREAL_PRESETS } from '../methods/dualreal/index.ts';
import { type Ablation, ablations } from '../methods/index.ts';
import { BenchmarkError } from './benchmark-error.ts';
import type { BenchmarkName, BenchRequest } from './request.ts';

/** One row of a table: what is trained for it. */
export interface Variant {
  readonly id: string;
  readonly title: string;
  /** Fields of its training request, besides those that all rows share. */
  readonly train: BenchRequest['train'];
  /** The base as it is: nothing is trained. */
  readonly untrained?: boolean | undefined;
}

export interface BenchmarkCard {
  readonly title: string;
  /** What is compared, in a sentence. */
  readonly about: string;
  /** Row that the others are compared with. */
  readonly own: string;
}

export const BENCHMARK_CARDS: Readonly<Record<BenchmarkName, BenchmarkCard>> = {
  table1: {
    title: 'Table 1: methods',
    about: 'DualReal against the four ways of customizing a video model that the paper compares it with.',
    own: 'dualreal',
  },
  table2: {
    title: 'Table 2: components',
    about: 'DualReal without one of its components each; the row without the gradient mask is our addition.',
    own: 'full',
  },
  table3: {
    title: 'Table 3: weight groups',
    about: 'DualReal with so many weight groups along the depth of the transformer.',
    own: 'groups-7',
  },
  fig2: {
    title: 'Fig. 2: identity against motion steps',
    about:
      'Isolated training: a subject learnt once, then a motion for more and more steps. What becomes of the subject?',
    own: '',
  },
  fig6: {
    title: 'Fig. 6: ablations, in pictures',
    about: 'The same videos with components of DualReal taken away.',
    own: 'full',
  },
  fig7: {
    title: 'Fig. 7: what the controller decides',
    about: 'Identity weight of each group of blocks along the denoising steps.',
    own: 'dualreal',
  },
  presets: {
    title: 'Presets',
    about:
      'The release (official), the printed equations (paper), our own (clean), and every difference on its own.',
    own: 'official',
  },
  customization: {
    title: 'Does customization work?',
    about:
      'The base as it is against the base customized with the presets official and clean: is it the subject, is it the motion?',
    own: 'base',
  },
};

/** The row of `customization` that is not trained. */
export const UNCUSTOMIZED = 'base';

const METHODS: readonly Variant[] = [
  { id: 'dreamvideo', title: 'DreamVideo', train: { method: 'dreamvideo' } },
  { id: 'motionbooth', title: 'MotionBooth', train: { method: 'motionbooth' } },
  { id: 'lora', title: 'Two LoRAs', train: { method: 'lora' } },
  { id: 'full', title: 'Full fine-tuning', train: { method: 'full' } },
  { id: 'dualreal', title: 'DualReal', train: { method: 'dualreal' } },
];

/** Ways of learning a subject and then a motion, for Fig. 2; both stages have these names. */
const ISOLATED: readonly Variant[] = [
  {
    id: 'isolated',
    title: 'Isolated',
    train: { method: 'dualreal', ablation: 'without-adaptation' },
  },
  ...METHODS.filter(({ id }) => id === 'lora' || id === 'full'),
];

/** The rows of a benchmark on a transformer of so many blocks; only those asked for, in the table's order. */
export function variantsOf(request: BenchRequest, blocks: number): Variant[] {
  const { benchmark, methods } = request;
  if (benchmark === 'fig2') {
    return chosen(ISOLATED, methods ?? ['isolated']).flatMap((method) => motionSeries(method, request));
  }
  const all = rowsOf(benchmark, ablations(blocks));
  return methods ? chosen(all, methods) : all;
}

function rowsOf(benchmark: Exclude<BenchmarkName, 'fig2'>, known: readonly Ablation[]): Variant[] {
  const family = (...names: readonly Ablation['family'][]) =>
    known.filter((each) => names.includes(each.family)).map(ablated);
  switch (benchmark) {
    case 'table1':
      return [...METHODS];
    case 'table2':
      return lastFirst(family('components', 'adaptation'));
    case 'table3':
      return family('groups');
    case 'fig6':
      return lastFirst(family('components'));
    case 'fig7':
      return METHODS.filter(({ id }) => id === 'dualreal');
    case 'customization':
      return [
        { id: UNCUSTOMIZED, title: 'base', train: {}, untrained: true },
        ...(['official', 'clean'] as const).map((preset) => ({
          id: preset,
          title: preset,
          train: { method: 'dualreal', preset },
        })),
      ];
    case 'presets':
      return [
        ...(Object.keys(DUALREAL_PRESETS) as (keyof typeof DUALREAL_PRESETS)[]).map((preset) => ({
          id: preset,
          title: preset,
          train: { method: 'dualreal', preset },
        })),
        ...family('presets'),
      ];
  }
}

function ablated({ name, title }: Ablation): Variant {
  const train = { method: 'dualreal', ...(name !== 'full' && { ablation: name }) };
  return { id: safeId(name), title, train };
}

/** The whole method below the others, as the paper's tables have it. */
function lastFirst([first, ...rest]: readonly Variant[]): Variant[] {
  return [...rest, first];
}

function safeId(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function motionSeries(method: Variant, { identitySteps, motionSteps }: BenchRequest): Variant[] {
  return ascending(identitySteps).flatMap((identity) =>
    ascending(motionSteps).map((motion) => ({
      id: `${method.id}-${identity}-${motion}`,
      title: `${method.title}, ${identity} + ${motion} steps`,
      train: { ...method.train, stageSteps: { identity, motion } },
    })),
  );
}

function ascending(numbers: readonly number[]): number[] {
  return [...numbers].sort((a, b) => a - b);
}

/** What a row of Fig. 2 is: `lora-300-50` is two LoRAs, 300 steps of identity, then 50 of motion. */
export function stagesOf(
  variant: string,
): { readonly method: string; readonly identity: number; readonly motion: number } | undefined {
  const match = /^(.+)-(\d+)-(\d+)$/.exec(variant);
  return match ? { method: match[1], identity: Number(match[2]), motion: Number(match[3]) } : undefined;
}

function chosen(all: readonly Variant[], names: readonly string[]): Variant[] {
  const unknown = names.filter((name) => !all.some(({ id }) => id === name));
  if (unknown.length > 0) {
    throw new BenchmarkError({
      where: 'option --methods',
      expected: `some of ${all.map(({ id }) => id).join(', ')}`,
      got: unknown.join(', '),
    });
  }
  return all.filter(({ id }) => names.includes(id));
}
