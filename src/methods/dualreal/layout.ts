import { compareWeights } from '../../runtime/index.ts';
import { DualrealError } from '../../tensor/errors.ts';
import type { Shape } from '../../tensor/shape.ts';
import { quoteBriefly } from '../../tensor/strict-json.ts';
import { type AdapterSite, adapterName, type Dimension } from './names.ts';

/** Tensors that are not the adapters and controller of one DualReal model; lists every name. */
export class AdapterLayoutError extends DualrealError {}

/** What names and shapes alone say about a set of adapters. */
export interface DualRealShape {
  /** 'separate': the release's names, as trained. 'fused': both adapters of a site in one (fold.ts). */
  readonly form: 'separate' | 'fused';
  readonly placement: 'sites' | 'block';
  readonly bottleneck: number;
  /** Width of the image embedding; 0 where the condition has been folded away. */
  readonly conditionDim: number;
  /** Depth groups n; 0 where there is no controller. */
  readonly groups: number;
  readonly blocks: number;
  readonly width: number;
  /** 0 where there is no controller. */
  readonly timeEmbeddingDim: number;
}

type Shaped = ReadonlyMap<string, { readonly shape: Shape }>;

const DIMENSIONS: readonly Dimension[] = ['identity', 'motion'];
const FUSION_WIDTH = 128;
const BLOCK_NAME = /^transformer_blocks\.(\d{1,5})\.(.+)$/;
const SEPARATE_NAME = /^(?:id|motion)_(?:attn|ff)_adapter\./;

/** Module that holds both adapters of a site after {@link fuseAdapters}. */
export function fusedName(site: AdapterSite): string {
  return `fused_${site}_adapter`;
}

export function sitesOf(placement: DualRealShape['placement']): readonly AdapterSite[] {
  return placement === 'sites' ? ['attn', 'ff'] : ['attn'];
}

/** Every tensor of such a set with its shape, in the order in which the release writes them. */
export function expectedTensors(shape: DualRealShape): Map<string, { readonly shape: Shape }> {
  const tensors = new Map<string, { readonly shape: Shape }>();
  const linear = (path: string, out: number, into: number) => {
    tensors.set(`${path}.weight`, { shape: [out, into] });
    tensors.set(`${path}.bias`, { shape: [out] });
  };
  for (let block = 0; block < shape.blocks; block++) {
    const path = `transformer_blocks.${block}`;
    if (shape.form === 'fused') addFusedBlock(path, shape, tensors);
    else addSeparateBlock(path, shape, linear);
  }
  if (shape.groups > 0) addController(shape, linear, tensors);
  return tensors;
}

function addSeparateBlock(
  path: string,
  { placement, bottleneck, conditionDim, width }: DualRealShape,
  linear: (path: string, out: number, into: number) => void,
): void {
  for (const dimension of DIMENSIONS) {
    for (const site of sitesOf(placement)) {
      const adapter = `${path}.${adapterName(dimension, site)}`;
      linear(`${adapter}.down_linear`, bottleneck, width);
      linear(`${adapter}.up_linear`, width, bottleneck);
      if (dimension === 'motion' && conditionDim > 0) {
        linear(`${adapter}.condition_linear`, width, conditionDim);
      }
    }
  }
}

function addFusedBlock(
  path: string,
  { placement, bottleneck, width }: DualRealShape,
  tensors: Map<string, { readonly shape: Shape }>,
): void {
  for (const site of sitesOf(placement)) {
    const adapter = `${path}.${fusedName(site)}`;
    tensors.set(`${adapter}.down_linear.weight`, { shape: [2 * bottleneck, width] });
    tensors.set(`${adapter}.down_linear.bias`, { shape: [2 * bottleneck] });
    tensors.set(`${adapter}.up_linear.weight`, { shape: [width, 2 * bottleneck] });
    tensors.set(`${adapter}.up_linear.bias`, { shape: [2, width] });
  }
}

function addController(
  { width, groups, timeEmbeddingDim: time }: DualRealShape,
  linear: (path: string, out: number, into: number) => void,
  tensors: Map<string, { readonly shape: Shape }>,
): void {
  linear('controller.timestep_encoder.1', 3 * time, time);
  linear('controller.channel_encoder.0', time, width);
  tensors.set('controller.norm.weight', { shape: [time] });
  tensors.set('controller.norm.bias', { shape: [time] });
  linear('controller.fuse_proj', 4 * time, time);
  linear('controller.fuse_proj_down', time, 4 * time);
  linear('controller.fusion_net.1', FUSION_WIDTH, time);
  linear('controller.fusion_net.3', groups, FUSION_WIDTH);
}

/**
 * Derives every extent from names and shapes alone and checks that the set is complete: throws
 * {@link AdapterLayoutError} listing each name that does not belong, is missing or has another shape.
 */
export function inferDualRealShape(tensors: Shaped, where = 'adapter tensors'): DualRealShape {
  const shape = guessShape(tensors);
  const expected = shape.blocks > 0 ? expectedTensors(shape) : new Map<string, { shape: Shape }>();
  const { missing, misshaped, extra } = compareWeights(expected, tensors);
  const empty = shape.blocks > 0 && (shape.bottleneck === 0 || shape.width === 0);
  const divides = shape.groups === 0 || shape.blocks % shape.groups === 0;
  if (shape.blocks > 0 && !empty && divides && missing.length + misshaped.length + extra.length === 0)
    return shape;
  const list = (title: string, names: readonly string[]) =>
    names.length > 0 ? [`${title}: ${names.map(plainName).join(', ')}`] : [];
  throw new AdapterLayoutError({
    where,
    expected:
      shape.blocks > 0
        ? `the ${expected.size} tensors of DualReal adapters for ${shape.blocks} blocks of width ${shape.width}`
        : 'DualReal adapters (transformer_blocks.N.id_attn_adapter.down_linear.weight and so on)',
    got: [
      ...list('missing', missing),
      ...list('other shape', misshaped),
      ...list('not part of the adapters', extra),
      ...(divides ? [] : [`${shape.groups} weight groups, which do not divide ${shape.blocks} blocks`]),
      ...(empty ? ['projections without elements'] : []),
      ...(tensors.size === 0 ? ['no tensor'] : []),
    ].join('; '),
    hint: 'an adapter file holds the adapters of every block and the controller, and nothing else',
  });
}

/** The extents that most tensors agree on, so that one bad tensor is what gets listed, not all others. */
function guessShape(tensors: Shaped): DualRealShape {
  const downs: Shape[] = [];
  const conditions: Shape[] = [];
  let fused = 0;
  let separate = 0;
  let feedForward = 0;
  let highest = -1;
  for (const [name, { shape }] of tensors) {
    const [, block, rest] = BLOCK_NAME.exec(name) ?? [];
    if (rest === undefined) continue;
    const isFused = rest.startsWith('fused_');
    if (!isFused && !SEPARATE_NAME.test(rest)) continue;
    if (isFused) fused++;
    else separate++;
    if (/_ff_adapter\./.test(rest)) feedForward++;
    // A number no complete file of this size could reach is a stray name, not a depth.
    if (Number(block) < tensors.size) highest = Math.max(highest, Number(block));
    if (rest.endsWith('down_linear.weight') && shape.length === 2) downs.push(shape);
    if (rest.endsWith('condition_linear.weight') && shape.length === 2) conditions.push(shape);
  }
  const form = fused > separate ? 'fused' : 'separate';
  const rows = mostCommon(downs.map(([out]) => out));
  const hasController = [...tensors.keys()].some((name) => name.startsWith('controller.'));
  return {
    form,
    placement: feedForward > 0 ? 'sites' : 'block',
    bottleneck: form === 'fused' ? Math.floor(rows / 2) : rows,
    conditionDim: mostCommon(conditions.map(([, into]) => into)),
    groups: hasController ? extentOf(tensors, 'controller.fusion_net.3', 1) : 0,
    blocks: downs.length > 0 ? highest + 1 : 0,
    width: mostCommon(downs.map(([, into]) => into)),
    timeEmbeddingDim: hasController ? timeExtent(tensors) : 0,
  };
}

/** Output extent of a linear layer from its weight or its bias; `fallback` where both are missing. */
function extentOf(tensors: Shaped, path: string, fallback: number): number {
  const out = tensors.get(`${path}.weight`)?.shape[0] ?? tensors.get(`${path}.bias`)?.shape[0];
  return out || fallback;
}

function timeExtent(tensors: Shaped): number {
  const paths = ['controller.channel_encoder.0', 'controller.norm', 'controller.fuse_proj_down'];
  return mostCommon(paths.map((path) => extentOf(tensors, path, 0)).filter((extent) => extent > 0)) || 1;
}

function mostCommon(values: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best), [0, 0])[0];
}

function plainName(name: string): string {
  return /^[\w.]+( \(expected [^()]*\))?$/.test(name) ? name : quoteBriefly(name);
}
