/** The two things DualReal learns. */
export type Dimension = 'identity' | 'motion';
/** Where in a block an adapter sits. */
export type AdapterSite = 'attn' | 'ff';
/**
 * What a trainable tensor belongs to; the unit of the gradient mask and of learning rates. 'condition' are the
 * motion adapters' linear layers of the image condition, which learn in motion steps.
 */
export type ParameterGroup = Dimension | 'condition' | 'controller';

const PREFIX: Readonly<Record<Dimension, string>> = { identity: 'id', motion: 'motion' };

/** The release's module name of an adapter, e.g. `id_attn_adapter`. */
export function adapterName(dimension: Dimension, site: AdapterSite): string {
  return `${PREFIX[dimension]}_${site}_adapter`;
}

const ADAPTER_PATH = /^transformer_blocks\.\d+\.(id|motion)_(attn|ff)_adapter\.(condition_linear\.)?/;

/** The group a parameter path belongs to, undefined for the base model's own parameters. */
export function parameterGroup(path: string): ParameterGroup | undefined {
  if (path.startsWith('controller.')) return 'controller';
  const match = ADAPTER_PATH.exec(path);
  if (!match) return undefined;
  if (match[3]) return 'condition';
  return match[1] === 'id' ? 'identity' : 'motion';
}
