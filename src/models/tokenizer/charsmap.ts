import { FileFormatError } from '../../tensor/errors.ts';

/**
 * SentencePiece's precompiled character map: a double-array trie over UTF-8 bytes whose values are offsets
 * into a blob of NUL-terminated replacements. The blob in the model file is the trie's size in bytes (u32,
 * little endian), the trie's units (u32 each), then the replacements.
 */
export class CharacterMap {
  readonly #where: string;
  readonly #units: Uint32Array;
  readonly #replacements: Uint8Array;

  /** An empty blob maps every character to itself. Throws {@link FileFormatError} for a damaged one. */
  constructor(blob: Uint8Array, where: string) {
    this.#where = where;
    if (blob.byteLength === 0) {
      this.#units = new Uint32Array(0);
      this.#replacements = blob;
      return;
    }
    const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
    const trieBytes = blob.byteLength < 4 ? -1 : view.getUint32(0, true);
    if (trieBytes < 4 || trieBytes % 4 !== 0 || trieBytes > blob.byteLength - 4) {
      throw this.#damaged(`a trie of ${trieBytes} bytes in a blob of ${blob.byteLength}`);
    }
    this.#units = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.#replacements = blob.subarray(4 + trieBytes);
  }

  /** The longest entry that `bytes` has at `start`: its replacement and its length in bytes. */
  longestMatch(
    bytes: Uint8Array,
    start: number,
  ): { replacement: Uint8Array; lengthBytes: number } | undefined {
    if (this.#units.length === 0) return undefined;
    let best: { offset: number; lengthBytes: number } | undefined;
    let position = childrenOf(this.#unit(0));
    for (let end = start; end < bytes.length; end++) {
      const node = position ^ bytes[end];
      const unit = this.#unit(node);
      if (labelOf(unit) !== bytes[end]) break;
      position = node ^ childrenOf(unit);
      if (hasPayload(unit)) {
        best = { offset: payloadOf(this.#unit(position)), lengthBytes: end + 1 - start };
      }
    }
    return best && { replacement: this.#replacementAt(best.offset), lengthBytes: best.lengthBytes };
  }

  #unit(index: number): number {
    if (index >= 0 && index < this.#units.length) return this.#units[index];
    throw this.#damaged(`a reference to trie unit ${index} of ${this.#units.length}`);
  }

  #replacementAt(offset: number): Uint8Array {
    const end = this.#replacements.indexOf(0, offset);
    if (offset < this.#replacements.length && end >= 0) return this.#replacements.subarray(offset, end);
    throw this.#damaged(`a replacement at ${offset} of ${this.#replacements.length} bytes`);
  }

  #damaged(got: string): FileFormatError {
    return new FileFormatError({
      where: `${this.#where}: character map`,
      expected: 'a double-array trie with its replacements',
      got,
      hint: 'the file may be damaged: get it again',
    });
  }
}

// Bit fields of a unit, as the Darts-clone library lays them out.
function hasPayload(unit: number): boolean {
  return ((unit >>> 8) & 1) === 1;
}

function payloadOf(unit: number): number {
  return unit & 0x7fffffff;
}

/** The byte that leads to this unit; with the top bit set it is a value and matches no byte. */
function labelOf(unit: number): number {
  return (unit & 0x800000ff) >>> 0;
}

/** XORed with a unit's index it gives the place of its children. */
function childrenOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
