import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { DualrealError, FileFormatError } from '../../tensor/errors.ts';
import { quoteBriefly } from '../../tensor/strict-json.ts';

/** A tokenizer that is sound but of a kind that is not implemented here. */
export class UnsupportedTokenizerError extends DualrealError {}

export interface SentencePieceUnit {
  readonly text: string;
  /** Natural logarithm of the piece's probability. */
  readonly score: number;
  readonly kind: 'normal' | 'unknown' | 'control';
}

interface Normalizer {
  /** Precompiled character map; empty where characters stay as they are. */
  readonly characterMap: Uint8Array;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespace: boolean;
}

/** What encoding needs of a SentencePiece model file. */
export interface SentencePieceModel extends Normalizer {
  /** In the order of their ids. */
  readonly pieces: readonly SentencePieceUnit[];
  readonly unknownId: number;
}

const DEFAULT_NORMALIZER: Normalizer = {
  characterMap: new Uint8Array(0),
  addDummyPrefix: true,
  removeExtraWhitespace: true,
};

const MAX_PIECES = 1_000_000;
const UNIGRAM = 1;
/** Numbers of sentencepiece_model.proto; user-defined, unused and byte pieces are not implemented. */
const KINDS = new Map([
  [1, 'normal'],
  [2, 'unknown'],
  [3, 'control'],
] as const);

/**
 * Reads a `spiece.model` (the protobuf of google/sentencepiece `sentencepiece_model.proto`, unigram models).
 * Fields that do not bear on encoding are skipped.
 */
export function parseSentencePieceModel(bytes: Uint8Array, where: string): SentencePieceModel {
  const pieces: SentencePieceUnit[] = [];
  let normalizer = DEFAULT_NORMALIZER;
  let isUnigram = true;
  try {
    forEachField(bytes, (field, wire, reader) => {
      if (field === 1 && wire === WireType.LengthDelimited) {
        if (pieces.length === MAX_PIECES) throw new RangeError(`more than ${MAX_PIECES} pieces`);
        pieces.push(parsePiece(reader.bytes(), `${where}: piece ${pieces.length}`));
      } else if (field === 2 && wire === WireType.LengthDelimited) {
        isUnigram = readModelType(reader.bytes()) === UNIGRAM;
      } else if (field === 3 && wire === WireType.LengthDelimited) {
        normalizer = parseNormalizer(reader.bytes(), where);
      } else {
        reader.skip(wire, field);
      }
    });
  } catch (cause) {
    if (cause instanceof DualrealError) throw cause;
    throw new FileFormatError({
      where,
      expected: 'a SentencePiece model',
      got: cause instanceof Error ? cause.message : 'something else',
      hint: 'the file may be damaged, or a Git LFS pointer instead of the file itself',
      cause,
    });
  }
  if (!isUnigram) {
    throw new UnsupportedTokenizerError({ where, expected: 'a unigram model', got: 'another model type' });
  }
  return { pieces, unknownId: unknownIdOf(pieces, where), ...normalizer };
}

type FieldReader = (field: number, wire: WireType, reader: BinaryReader) => void;

function forEachField(bytes: Uint8Array, read: FieldReader): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    read(field, wire, reader);
  }
}

function parsePiece(bytes: Uint8Array, where: string): SentencePieceUnit {
  let text = '';
  let score = 0;
  let type = 1;
  forEachField(bytes, (field, wire, reader) => {
    if (field === 1 && wire === WireType.LengthDelimited) text = reader.string(true);
    else if (field === 2 && wire === WireType.Bit32) score = reader.float();
    else if (field === 3 && wire === WireType.Varint) type = reader.int32();
    else reader.skip(wire, field);
  });
  const kind = (KINDS as ReadonlyMap<number, SentencePieceUnit['kind']>).get(type);
  if (!kind) {
    throw new UnsupportedTokenizerError({
      where,
      expected: 'a normal, unknown or control piece',
      got: `${quoteBriefly(text)} of type ${type}`,
      hint: 'use a tokenizer.json beside it',
    });
  }
  if (text === '' || !Number.isFinite(score)) {
    throw new FileFormatError({
      where,
      expected: 'a text and a score',
      got: `${quoteBriefly(text)}, ${score}`,
    });
  }
  return { text, score, kind };
}

/** trainer_spec.model_type; absent means unigram. */
function readModelType(bytes: Uint8Array): number {
  let type = UNIGRAM;
  forEachField(bytes, (field, wire, reader) => {
    if (field === 3 && wire === WireType.Varint) type = reader.int32();
    else reader.skip(wire, field);
  });
  return type;
}

function parseNormalizer(bytes: Uint8Array, where: string): Normalizer {
  let normalizer = DEFAULT_NORMALIZER;
  forEachField(bytes, (field, wire, reader) => {
    if (field === 2 && wire === WireType.LengthDelimited) {
      normalizer = { ...normalizer, characterMap: new Uint8Array(reader.bytes()) };
      return;
    }
    if (wire !== WireType.Varint || field < 3 || field > 5) {
      reader.skip(wire, field);
      return;
    }
    const on = reader.bool();
    if (field === 3) normalizer = { ...normalizer, addDummyPrefix: on };
    else if (field === 4) normalizer = { ...normalizer, removeExtraWhitespace: on };
    else if (!on) {
      throw new UnsupportedTokenizerError({
        where,
        expected: 'spaces that are written as ▁',
        got: 'escape_whitespaces off',
      });
    }
  });
  return normalizer;
}

function unknownIdOf(pieces: readonly SentencePieceUnit[], where: string): number {
  const ids = [...pieces.keys()].filter((id) => pieces[id].kind === 'unknown');
  const distinct = new Set(pieces.map((piece) => piece.text)).size;
  if (ids.length === 1 && distinct === pieces.length) return ids[0];
  throw new FileFormatError({
    where,
    expected: 'distinct pieces, one of them for unknown text',
    got: `${pieces.length} pieces, ${distinct} distinct, ${ids.length} for unknown text`,
  });
}
