import { DUALREAL_PRESETS, type DualRealOptions, requireGroups } from '../methods/dualreal/index.ts';
import {
  type Ablation,
  ablations,
  type Method,
  openMethod,
  type Phase,
  type Stage,
} from '../methods/index.ts';
import { DualrealError } from '../tensor/errors.ts';
import type { Base, MethodRates } from './base.ts';
import type { TrainRequest } from './train-request.ts';

/** A request that does not fit its method: data it needs, stages it does not have. */
export class TrainPlanError extends DualrealError {}

/** A stage with the settings it is trained with. Steps count through all stages of a run. */
export interface StagePlan {
  readonly stage: Stage;
  /** Among `stages`, from 0. */
  readonly index: number;
  readonly stages: number;
  /** First step, from 0. */
  readonly first: number;
  /** One after the last. */
  readonly end: number;
  readonly recipe: Stage['recipe'];
  /** Of the phases by name. */
  readonly batch: Readonly<Record<string, number>>;
}

/** Where a phase's data come from. */
export type DataKind = Phase['data'];

/** What a request trains on a base. */
export interface TrainPlan {
  readonly method: Method;
  readonly stages: readonly StagePlan[];
  /** Of all stages together. */
  readonly steps: number;
  /** What a user should know about how the request was read. */
  readonly notices: readonly string[];
}

/** What of a base decides how it is trained. */
type PlannedBase = Pick<Base, 'imageDim' | 'transformer'>;

/** Opens the method of a request for a base, and checks that the request has what it needs. */
export function planTraining(request: TrainRequest, base: PlannedBase): TrainPlan {
  const { method, notices } = methodOf(request, base);
  requireNames(request, method);
  const stages = planStages(request, method);
  const wanted = new Set(dataOf(method.stages));
  requireData(request, wanted, method);
  const unused = (['motion', 'generic'] as const).filter(
    (kind) => !wanted.has(kind) && request[kind].length > 0,
  );
  return {
    method,
    stages,
    steps: stages.at(-1)!.end,
    notices: [
      ...notices,
      ...unused.map((kind) => `the ${kind} clips are not used: ${method.name} learns nothing from them`),
    ],
  };
}

/**
 * The rates and noise levels that suit the base, where the request leaves them open: the published ones are of
 * large models. They become part of the request, so that a run goes on with those that it began with.
 */
export function withRatesOfBase(
  request: TrainRequest,
  base: PlannedBase & Pick<Base, 'name' | 'learningRates' | 'groupRates' | 'timestepBias'>,
): { readonly request: TrainRequest; readonly notices: readonly string[] } {
  const { stages } = methodOf(request, base).method;
  const open = (settings: MethodRates, names: readonly string[], given: Readonly<Record<string, number>>) => {
    const known = { ...settings[request.method], ...settings[`${request.method}:${request.preset}`] };
    return names.flatMap((name) => (known[name] && !(name in given) ? [[name, known[name]] as const] : []));
  };
  const ofStages =
    request.learningRate === undefined
      ? open(
          base.learningRates,
          stages.map(({ name }) => name),
          request.stageLearningRates,
        )
      : [];
  const ofGroups = open(base.groupRates, groupsOf(stages), request.groupRates);
  const biases = open(base.timestepBias, dataOf(stages), request.timestepBias);
  const told = [
    ...ofStages.map(([name, rate]) => `learning rate ${rate} for ${name}`),
    ...ofGroups.map(([name, share]) => `times ${share} for the group ${name}`),
    ...biases.map(([data, bias]) => `${data} steps with timesteps of density t^${bias}`),
  ].join(', ');
  return {
    request: {
      ...request,
      stageLearningRates: { ...request.stageLearningRates, ...Object.fromEntries(ofStages) },
      groupRates: { ...request.groupRates, ...Object.fromEntries(ofGroups) },
      timestepBias: { ...request.timestepBias, ...Object.fromEntries(biases) },
    },
    notices: told === '' ? [] : [`settings that suit the base ${base.name}: ${told}`],
  };
}

/** The phases of all stages. */
export function phasesOf({ stages }: Pick<Method, 'stages'>): readonly Phase[] {
  return stages.flatMap(({ phases }) => phases);
}

function dataOf(stages: readonly Stage[]): readonly DataKind[] {
  return [...new Set(stages.flatMap(({ phases }) => phases.map(({ data }) => data)))];
}

function groupsOf(stages: readonly Stage[]): readonly string[] {
  return [...new Set(stages.flatMap(({ groups }) => groups))];
}

function methodOf(request: TrainRequest, base: PlannedBase): { method: Method; notices: readonly string[] } {
  const { method: name, options } = request;
  if (name === 'dualreal') return dualRealOf(request, base);
  const conditioned = name === 'dreamvideo' ? { conditionDim: base.imageDim } : {};
  return { method: openMethod(name, { ...conditioned, ...options }), notices: [] };
}

/** The preset, with the request's own differences, with the ablation's. */
function dualRealOf(
  request: TrainRequest,
  base: PlannedBase,
): { method: Method; notices: readonly string[] } {
  const preset: DualRealOptions = DUALREAL_PRESETS[request.preset];
  const own: Partial<DualRealOptions> = request.options;
  const ablation = request.ablation === undefined ? undefined : ablationOf(request.ablation, base);
  const options = { ...preset, conditionDim: base.imageDim, ...own, ...ablation?.options };
  requireGroups(options.groups, base.transformer.blocks);
  const replaced = Object.entries(ablation?.options ?? {}).filter(
    ([key, value]) => key in own && own[key as keyof DualRealOptions] !== value,
  );
  return {
    method: openMethod('dualreal', { options, ...(ablation && { training: ablation.training }) }),
    notices: replaced.map(([key, value]) => `the ablation ${ablation!.name} sets ${key} to ${value}`),
  };
}

function ablationOf(asked: string, { transformer: { blocks } }: PlannedBase): Ablation {
  const known = ablations(blocks);
  const name = asked === 'groups-L' ? `groups-${blocks}` : asked;
  const found = known.find((each) => each.name === name);
  if (found) return found;
  throw new TrainPlanError({
    where: 'option --ablation',
    expected: `one of ${known.map((each) => each.name).join(', ')}`,
    got: asked,
  });
}

function requireNames(
  { stageSteps, stageLearningRates, groupRates, timestepBias }: TrainRequest,
  { name, stages }: Method,
): void {
  const names = stages.map((stage) => stage.name);
  const named: readonly (readonly [option: string, given: object, kind: string, known: readonly string[]])[] =
    [
      ['stage-steps', stageSteps, 'stage', names],
      ['stage-learning-rate', stageLearningRates, 'stage', names],
      ['group-rate', groupRates, 'parameter group', groupsOf(stages)],
      ['timestep-bias', timestepBias, 'kind of data', dataOf(stages)],
    ];
  for (const [option, given, kind, known] of named) {
    const unknown = Object.keys(given).filter((each) => !known.includes(each));
    if (unknown.length === 0) continue;
    throw new TrainPlanError({
      where: `option --${option}`,
      expected: `a ${kind} of ${name} (${known.join(', ')})`,
      got: unknown.join(', '),
    });
  }
}

function planStages(request: TrainRequest, { stages }: Method): StagePlan[] {
  const lengths = stageLengths(request, stages);
  let first = 0;
  return stages.map((stage, index) => {
    const end = first + lengths[index];
    const plan: StagePlan = {
      stage,
      index,
      stages: stages.length,
      first,
      end,
      recipe: recipeOf(request, stage, lengths[index]),
      batch: Object.fromEntries(stage.phases.map((phase) => [phase.name, batchOf(request, phase)])),
    };
    first = end;
    return plan;
  });
}

/** Steps of each stage: those given one by one, or all divided as published, each stage getting one at least. */
function stageLengths({ steps, stageSteps }: TrainRequest, stages: readonly Stage[]): number[] {
  if (steps === undefined) {
    const lengths = stages.map(({ name, recipe }) => stageSteps[name] ?? recipe.steps);
    if (lengths.some((length) => length > 0)) return lengths;
    const expected = 'a step of some stage';
    throw new TrainPlanError({ where: 'option --stage-steps', expected, got: 'none of any' });
  }
  if (steps < stages.length) {
    throw new TrainPlanError({
      where: 'option --steps',
      expected: `at least one step for each of the ${stages.length} stages`,
      got: String(steps),
    });
  }
  const published = stages.reduce((sum, { recipe }) => sum + recipe.steps, 0);
  let passed = 0;
  let given = 0;
  return stages.map(({ recipe }, index) => {
    passed += recipe.steps;
    const later = stages.length - 1 - index;
    const end = Math.round((steps * passed) / published);
    const length = Math.min(Math.max(end, given + 1), steps - later) - given;
    given += length;
    return length;
  });
}

function recipeOf(request: TrainRequest, { name, recipe, groups }: Stage, steps: number): Stage['recipe'] {
  const { schedule, weightDecay, maxGradientNorm = recipe.maxGradientNorm } = request;
  const own = Object.entries(request.groupRates).filter(([group]) => groups.includes(group));
  return {
    ...recipe,
    steps,
    learningRate: request.stageLearningRates[name] ?? request.learningRate ?? recipe.learningRate,
    groupRates: Object.fromEntries(own),
    warmupSteps: request.warmupSteps ?? Math.min(recipe.warmupSteps, Math.round(steps / 5)),
    schedule: schedule ?? recipe.schedule,
    weightDecay: weightDecay ?? recipe.weightDecay,
    ...(maxGradientNorm !== undefined && { maxGradientNorm }),
  };
}

function batchOf({ subjectBatch, motionBatch, genericBatch }: TrainRequest, { data, batch }: Phase): number {
  const asked = { identity: subjectBatch, motion: motionBatch, generic: genericBatch };
  return asked[data] ?? batch;
}

function requireData(
  { motion, generic, subjectWord }: TrainRequest,
  wanted: ReadonlySet<DataKind>,
  { name, subjectWord: naming }: Method,
): void {
  const missing = (option: string, expected: string, hint: string) =>
    new TrainPlanError({ where: `option --${option}`, expected, got: 'nothing', hint });
  if (wanted.has('motion') && motion.length === 0) {
    throw missing('motion', 'to be given', 'clips of the motion: files or folders');
  }
  if (wanted.has('generic') && generic.length === 0) {
    const hint = 'clips of anything with their own captions: files or folders';
    throw missing(
      'generic',
      `clips that keep the model's sense of motion, which ${name} trains on too`,
      hint,
    );
  }
  if (naming !== undefined && subjectWord === undefined) {
    const hint = 'such as --subject-word dog where the captions say "a photo of a dog"';
    throw missing('subject-word', `the word for the subject in the ${naming}, which ${name} looks for`, hint);
  }
}
