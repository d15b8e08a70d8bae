import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { FeatureCache } from '../store/feature-cache.ts';
import { canonicalJson } from '../store/plain-json.ts';
import { type Base, openBase } from '../workflows/base.ts';
import { EMBEDDED_BASE } from '../workflows/base-location.ts';
import { packageVersions } from '../workflows/package-versions.ts';
import { BenchmarkError } from './benchmark-error.ts';
import { readManifest } from './manifest.ts';
import type { BenchCase, BenchPlan } from './plan.ts';
import type { BenchRequest } from './request.ts';
import { balancedDraw } from './subset.ts';
import { requireEnoughFrames, UNIVERSE_GENERIC, universeCases, universeHashes } from './universe-cases.ts';
import { stagesOf, variantsOf } from './variants.ts';

/** Of the universe, where a request does not say how many. */
const DEFAULT_COUNTS = { cases: 4, prompts: 8 };
/** Of what has to hold on six pairs, with twenty clips each. */
const CUSTOMIZATION_COUNTS = { cases: 6, prompts: 20 };

/** Fields of a training request that a benchmark fills in itself. */
const OWN_FIELDS = [
  'subject',
  'motion',
  'generic',
  'base',
  'out',
  'seed',
  'width',
  'height',
  'frames',
  'device',
];

/** Settles everything that decides the numbers: base, cases, prompts, rows. */
export async function settlePlan(request: BenchRequest, cache: FeatureCache): Promise<BenchPlan> {
  requireFreeFields(request);
  requireKnownMotions(request);
  const manifest = request.manifest === undefined ? undefined : await readManifest(request.manifest);
  const location = request.base ?? manifest?.base ?? EMBEDDED_BASE;
  const base = await openBase(location, { cache });
  const variants = variantsOf(request, base.transformer.blocks);
  requireKnownRows(request, variants);
  const all = manifest?.cases ?? universeCases(request);
  const counts = request.benchmark === 'customization' ? CUSTOMIZATION_COUNTS : DEFAULT_COUNTS;
  const count = wanted(request.cases, manifest ? 'all' : counts.cases);
  const prompts = wanted(request.prompts, manifest ? 'all' : counts.prompts);
  const draw = () => (manifest ? balancedDraw(all, count, request.seed) : all.slice(0, count));
  // The universe's cases are in the draw's order already.
  const drawn = request.pairs === undefined ? draw() : chosenOf(all, request);
  const frames = request.frames ?? base.nominal.frames;
  if (!manifest) await requireEnoughFrames(request, frames);
  return {
    version: 1,
    versions: { ...packageVersions() },
    request,
    base: {
      location,
      name: base.name,
      hash: await base.hash(),
      blocks: base.transformer.blocks,
      card: cardOf(base),
    },
    source: manifest
      ? { kind: 'manifest', file: manifest.file, of: all.length }
      : {
          kind: 'universe',
          split: request.split,
          ...(await universeHashes(request)),
          of: all.length,
        },
    frames,
    fps: base.nominal.fps,
    ...(manifest
      ? manifest.generic !== undefined && { generic: manifest.generic }
      : { generic: UNIVERSE_GENERIC }),
    cases: drawn.map((each): BenchCase => ({ ...each, prompts: each.prompts.slice(0, prompts) })),
    variants,
  };
}

/** The cases that a request names, in its order. */
function chosenOf(all: readonly BenchCase[], { pairs = [], cases, split }: BenchRequest): BenchCase[] {
  const byId = new Map(all.map((each) => [each.id, each]));
  const unknown = pairs.filter((id) => !byId.has(id));
  if (unknown.length > 0) {
    throw new BenchmarkError({
      where: 'option --pairs',
      expected: `names of cases, such as ${[...byId.keys()].slice(0, 3).join(', ')}`,
      got: unknown.join(', '),
      hint: `subject-motion, of the ${split} split or the manifest`,
    });
  }
  if (cases !== undefined) {
    throw new BenchmarkError({
      where: 'option --cases',
      expected: 'either a number of cases to draw or --pairs, which names them',
      got: `--cases ${cases} and --pairs ${pairs.join(',')}`,
    });
  }
  return pairs.map((id) => byId.get(id)!);
}

/** What of a base's card decides numbers. */
function cardOf({
  guidance,
  learningRates,
  groupRates,
  timestepBias,
}: Base): NonNullable<BenchPlan['base']['card']> {
  return { guidance: guidance ?? null, learningRates, groupRates, timestepBias };
}

/** Refuses to go on where base, photos and clips, or art are no longer what the plan was made with. */
export async function requireSameSources(
  plan: BenchPlan,
  folder: string,
  cache: FeatureCache,
): Promise<void> {
  const base = await openBase(plan.base.location, { cache });
  const changed = (what: string, was: string, is: string) =>
    new BenchmarkError({
      where: resolve(folder),
      expected: `the ${what} it was begun with (${was.slice(0, 12)})`,
      got: `another one (${is.slice(0, 12)})`,
      hint: 'numbers of both cannot be put together: begin another benchmark',
    });
  const hash = await base.hash();
  if (hash !== plan.base.hash) throw changed(`base ${plan.base.location}`, plan.base.hash, hash);
  if (plan.base.card && !isDeepStrictEqual(plan.base.card, cardOf(base))) {
    const told = (card: unknown) => canonicalJson(card, 'card');
    throw new BenchmarkError({
      where: resolve(folder),
      expected: `the card of base ${plan.base.location} that it was begun with (${told(plan.base.card)})`,
      got: told(cardOf(base)),
      hint: 'guidance and learning rates come from there: begin another benchmark',
    });
  }
  if (plan.source.kind === 'manifest') return;
  const { filesHash, artHash } = await universeHashes(plan.request);
  for (const [what, was, is] of [
    ['photos and clips of dualreal', plan.source.filesHash, filesHash],
    ['art', plan.source.artHash, artHash],
  ] as const) {
    if (was !== is) throw changed(what, was ?? 'none', is ?? 'none');
  }
}

function wanted(asked: number | 'all' | undefined, otherwise: number | 'all'): number {
  const count = asked ?? otherwise;
  return count === 'all' ? Number.POSITIVE_INFINITY : count;
}

function requireFreeFields({ benchmark, train, trainOf }: BenchRequest): void {
  for (const fields of [train, ...Object.values(trainOf)]) {
    const own = Object.keys(fields).filter((name) => OWN_FIELDS.includes(name));
    const stages = benchmark === 'fig2' && 'stageSteps' in fields;
    if (own.length === 0 && !stages) continue;
    throw new BenchmarkError({
      where: 'option --train',
      expected: 'settings of the training that the benchmark does not decide itself',
      got: [...own, ...(stages ? ['stageSteps'] : [])].join(', '),
      ...(stages && {
        hint: 'the lengths of the stages are what Fig. 2 compares: --identity-steps, --motion-steps',
      }),
    });
  }
}

function requireKnownMotions({ benchmark, manifest }: BenchRequest): void {
  if (benchmark !== 'customization' || manifest === undefined) return;
  throw new BenchmarkError({
    where: 'option --manifest',
    expected:
      'none: whether a motion is recognised is asked of a classifier over the motions of the Toybox universe',
    got: manifest,
    hint: 'bench presets compares the presets on cases of your own',
  });
}

function requireKnownRows({ trainOf }: BenchRequest, variants: BenchPlan['variants']): void {
  const names = new Set(variants.flatMap(({ id }) => [id, stagesOf(id)?.method ?? id]));
  const unknown = Object.keys(trainOf).filter((name) => !names.has(name));
  if (unknown.length === 0) return;
  throw new BenchmarkError({
    where: 'option --train',
    expected: `settings of one of the rows ${[...names].join(', ')}`,
    got: unknown.join(', '),
  });
}
