import type { FileHandle } from 'node:fs/promises';
import type { PickleValue } from './value.ts';

/** What both file formats of torch.save are read into. */
export interface PthStructure {
  readonly root: PickleValue;
  /** Byte offset in the file of each storage. */
  readonly storageOffsets: ReadonlyMap<string, number>;
  /** Bytes of a storage, verified where the format has checksums. */
  readStorage(file: FileHandle, key: string): Promise<Uint8Array>;
}

/** An adapter's pickle has some 100 kB, that of a model with thousands of tensors a few MB. */
export const MAX_PICKLE_BYTES = 64_000_000;
