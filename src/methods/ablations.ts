import type { DualRealTraining } from './dualreal/method.ts';
import { DUALREAL_PRESETS, type DualRealOptions } from './dualreal/options.ts';

/** DualReal with something taken away or done differently. */
export interface Ablation {
  readonly name: string;
  /** What it is compared for: Table 2, Table 3, the two parts of Dual-aware Adaptation, the presets. */
  readonly family: 'components' | 'groups' | 'adaptation' | 'presets';
  readonly title: string;
  /** Differences from the preset that a run starts from. */
  readonly options: Partial<DualRealOptions>;
  readonly training: DualRealTraining;
}

/**
 * The paper's ablations (Tables 2 and 3) and each difference of a preset from the release on its own, for a
 * transformer of so many blocks. Numbers of groups that do not divide them are left out.
 *
 * Readings: without Dual-aware Adaptation the two dimensions are trained in isolation and meet at inference,
 * with fixed weights; without the controller both weights are fixed at half; without weight groups all blocks
 * share one weight (Table 2 prints the numbers of Table 3's n = 1).
 */
export function ablations(blocks: number): readonly Ablation[] {
  const counts = [...new Set([1, 2, 7, blocks])].filter((groups) => blocks % groups === 0);
  return [
    joint('full', 'components', 'DualReal', {}),
    {
      ...joint('without-adaptation', 'components', 'without Dual-aware Adaptation', { groups: 0 }),
      training: 'isolated' as const,
    },
    joint('without-controller', 'components', 'without StageBlender Controller', { groups: 0 }),
    joint('without-groups', 'components', 'without weight groups', { groups: 1 }),
    ...counts.map((groups) => joint(`groups-${groups}`, 'groups', `n = ${groups}`, { groups })),
    {
      ...joint('without-mask', 'adaptation', 'joint, without the gradient mask', {}),
      training: 'unmasked' as const,
    },
    ...presetDifferences(),
  ];
}

function joint(
  name: string,
  family: Ablation['family'],
  title: string,
  options: Partial<DualRealOptions>,
): Ablation {
  return { name, family, title, options, training: 'masked' };
}

/** One ablation for each option in which a preset differs from the release; what presets share, once. */
function presetDifferences(): Ablation[] {
  const official: DualRealOptions = DUALREAL_PRESETS.official;
  const found = new Map<string, { options: Partial<DualRealOptions>; presets: string[] }>();
  for (const [preset, options] of Object.entries<DualRealOptions>(DUALREAL_PRESETS)) {
    for (const key of Object.keys(options) as (keyof DualRealOptions)[]) {
      if (options[key] === official[key]) continue;
      const name = `${key}-${options[key]}`;
      const known = found.get(name) ?? { options: { [key]: options[key] }, presets: [] };
      found.set(name, { ...known, presets: [...known.presets, preset] });
    }
  }
  return [...found].map(([name, { options, presets }]) =>
    joint(name, 'presets', `${name.replace('-', ': ')} (${presets.join(', ')})`, options),
  );
}
