import { FileFormatError } from '../../tensor/errors.ts';
import { DIRECTORY_HEADER_BYTES } from './zip-directory.ts';
import { END_BYTES, SIGNATURES } from './zip-end.ts';
import { crc32Of, LOCAL_HEADER_BYTES } from './zip-reader.ts';

export interface ZipContent {
  readonly name: string;
  readonly bytes: Uint8Array;
}

// torch aligns the data of every entry, so that it can be mapped into memory.
const ALIGNMENT_BYTES = 64;
const PADDING_EXTRA = 0x4246;
const EXTRA_HEADER_BYTES = 4;
const UTF8_NAME = 0x0800;
// 1 January 1980, the first date that zip can say: equal contents give equal files.
const FIXED_DATE = 0x0021;
const MAX_BYTES = 0xffffffff;
const MAX_ENTRIES = 0xfffe;

/** An uncompressed zip file as pieces to be written in order; entry data is not copied. Up to 4 GiB. */
export function encodeZip(contents: readonly ZipContent[], where: string): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let position = 0;
  const add = (piece: Uint8Array) => {
    pieces.push(piece);
    position += piece.byteLength;
  };
  for (const { name, bytes } of contents) {
    const nameBytes = new TextEncoder().encode(name);
    const dataStart = position + LOCAL_HEADER_BYTES + nameBytes.byteLength + EXTRA_HEADER_BYTES;
    const padding = (ALIGNMENT_BYTES - (dataStart % ALIGNMENT_BYTES)) % ALIGNMENT_BYTES;
    const facts = { nameBytes, sizeBytes: bytes.byteLength, checksum: crc32Of([bytes]) };
    directory.push(directoryHeader(facts, position));
    add(localHeader(facts, padding));
    add(bytes);
  }
  const directoryStart = position;
  for (const header of directory) add(header);
  const total = position + END_BYTES;
  if (total > MAX_BYTES || contents.length > MAX_ENTRIES) {
    throw new FileFormatError({
      where,
      expected: `at most ${MAX_BYTES} bytes in ${MAX_ENTRIES} tensors`,
      got: `${total} bytes, ${contents.length} entries`,
      hint: 'write a safetensors file instead',
    });
  }
  add(endRecord(contents.length, position - directoryStart, directoryStart));
  return pieces;
}

interface EntryFacts {
  readonly nameBytes: Uint8Array;
  readonly sizeBytes: number;
  readonly checksum: number;
}

function localHeader({ nameBytes, sizeBytes, checksum }: EntryFacts, padding: number): Uint8Array {
  const nameEnd = LOCAL_HEADER_BYTES + nameBytes.byteLength;
  const header = new Uint8Array(nameEnd + EXTRA_HEADER_BYTES + padding).fill('Z'.charCodeAt(0));
  const view = new DataView(header.buffer);
  header.fill(0, 0, nameEnd);
  view.setUint32(0, SIGNATURES.local, true);
  view.setUint16(6, UTF8_NAME, true);
  view.setUint16(12, FIXED_DATE, true);
  view.setUint32(14, checksum, true);
  view.setUint32(18, sizeBytes, true);
  view.setUint32(22, sizeBytes, true);
  view.setUint16(26, nameBytes.byteLength, true);
  view.setUint16(28, EXTRA_HEADER_BYTES + padding, true);
  header.set(nameBytes, LOCAL_HEADER_BYTES);
  view.setUint16(nameEnd, PADDING_EXTRA, true);
  view.setUint16(nameEnd + 2, padding, true);
  return header;
}

function directoryHeader({ nameBytes, sizeBytes, checksum }: EntryFacts, offset: number): Uint8Array {
  const header = new Uint8Array(DIRECTORY_HEADER_BYTES + nameBytes.byteLength);
  const view = new DataView(header.buffer);
  view.setUint32(0, SIGNATURES.directory, true);
  view.setUint16(8, UTF8_NAME, true);
  view.setUint16(14, FIXED_DATE, true);
  view.setUint32(16, checksum, true);
  view.setUint32(20, sizeBytes, true);
  view.setUint32(24, sizeBytes, true);
  view.setUint16(28, nameBytes.byteLength, true);
  view.setUint32(42, offset, true);
  header.set(nameBytes, DIRECTORY_HEADER_BYTES);
  return header;
}

function endRecord(count: number, directoryBytes: number, directoryStart: number): Uint8Array {
  const record = new Uint8Array(END_BYTES);
  const view = new DataView(record.buffer);
  view.setUint32(0, SIGNATURES.end, true);
  view.setUint16(8, count, true);
  view.setUint16(10, count, true);
  view.setUint32(12, directoryBytes, true);
  view.setUint32(16, directoryStart, true);
  return record;
}
