import {
  fuseLora,
  isHooked,
  layersOf,
  loraSampling,
  loraTensors,
  requireLoraFits,
} from '../methods/lora/index.ts';
import type { LoraFile } from '../store/lora-file.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import type { Base } from './base.ts';
import type { FittedModel, TrainedModel } from './trained-model.ts';
import { readRecord } from './training-result.ts';

/**
 * One or more LoRAs, their updates added: by hooks where they are all on attention's linear layers, else in
 * copies of the weights that they change.
 */
export function loraModel(files: readonly LoraFile[]): TrainedModel {
  const headers = files.flatMap(({ header }) => (header ? [header] : []));
  return {
    files: files.map(({ path }) => path),
    inference: {},
    usesReference: false,
    folded: false,
    naming: undefined,
    size: headers[0] && readRecord(headers[0]).size,
    baseName: headers[0]?.base.name ?? null,
    fit: (base) => fitLoras(files, base),
  };
}

async function fitLoras(files: readonly LoraFile[], base: Base): Promise<FittedModel> {
  const { entries } = base.transformerWeights;
  for (const { path, lora } of files) requireLoraFits(path, lora, entries);
  const notices = [...files.flatMap((file) => file.notices), ...(await otherBase(files, base))];
  const sets = files.map(({ lora }, index) => ({ name: String.fromCharCode(97 + index), lora }));
  if (sets.every(({ lora }) => isHooked(lora))) {
    const adapters = sets.map(({ name, lora }) => ({ name, layers: layersOf(lora) }));
    const tensors = new Map(sets.flatMap(({ name, lora }) => [...loraTensors(lora, name)]));
    return { method: { sampling: loraSampling(adapters) }, tensors, notices };
  }
  const weights = new Map<string, HostTensor>();
  for (const layer of new Set(sets.flatMap(({ lora }) => [...lora.keys()]))) {
    const name = `${layer}.weight`;
    weights.set(name, await base.transformerWeights.read(name));
  }
  return { method: { sampling: loraSampling([]) }, tensors: fuseLora(weights, sets), notices };
}

/** A base of the same shape that is not the one they were trained on. */
async function otherBase(
  files: readonly LoraFile[],
  { transformerWeights }: Base,
): Promise<readonly string[]> {
  const known = files.filter(({ header }) => header?.base.hash);
  if (known.length === 0) return [];
  const hash = await transformerWeights.hash();
  return known
    .filter(({ header }) => header!.base.hash !== hash)
    .map(({ path, header }) => {
      const name = header!.base.name ?? 'unnamed';
      return `${path} was trained on another base (${name}) of the same shape: results will differ`;
    });
}
