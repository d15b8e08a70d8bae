import { readSafetensorsHeader } from '../tensor/safetensors.ts';
import { adapterSource } from './adapter-file.ts';
import { parseMethodMetadata } from './method-file.ts';

/** The formats that what was trained is kept in. */
export type TrainedFileKind = 'adapter' | 'lora' | 'method';

const LORA_NAME = /\.lora_[AB]\.weight$/;

/** Tells the format of a file from its header; what is none of the others counts as adapters. */
export async function kindOfTrainedFile(path: string): Promise<TrainedFileKind> {
  if ((await adapterSource(path)) === 'pth') return 'adapter';
  const { entries, metadata } = await readSafetensorsHeader(path);
  if ([...entries.keys()].some((name) => LORA_NAME.test(name))) return 'lora';
  return parseMethodMetadata(metadata, path) ? 'method' : 'adapter';
}
