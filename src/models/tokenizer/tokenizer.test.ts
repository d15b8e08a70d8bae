import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DualrealError, FileFormatError } from '../../tensor/errors.ts';
import { randomStream } from '../../tensor/random.ts';
import { loadTokenizer, TokenizerMissingError, UnsupportedTokenizerError } from './index.ts';
import { parseSentencePieceModel } from './sentencepiece-model.ts';
import { sentencePieceNormalizer } from './sentencepiece-text.ts';
import type { TokenizedText } from './text-tokenizer.ts';

// A small unigram model with T5's special pieces and a character map of its own; the cases are what the
// sentencepiece library (0.2) makes of it.
const MODEL = fileURLToPath(new URL('testdata/spiece.model', import.meta.url));
const CASES = fileURLToPath(new URL('testdata/spiece-cases.json', import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-tokenizer-'));
});
afterEach(() => rm(folder, { recursive: true }));

const idsOf = (text: TokenizedText) => Array.from(text.ids.data, Number);
const put = (name: string, json: unknown) => writeFile(join(folder, name), JSON.stringify(json));

describe('spiece.model', () => {
  beforeEach(() => copyFile(MODEL, join(folder, 'spiece.model')));

  it('gives the ids of sentencepiece, then the end token, then padding', async () => {
    const tokenizer = await loadTokenizer(folder);
    const cases = JSON.parse(await readFile(CASES, 'utf8')) as { text: string; ids: number[] }[];
    for (const { text, ids } of cases) {
      const expected = [...ids, 1];
      expect(tokenizer.count(text), text).toBe(expected.length);
      const encoded = tokenizer.encode(text, 64);
      expect(encoded.ids.shape).toEqual([1, 64]);
      expect(idsOf(encoded), text).toEqual([...expected, ...new Array(64 - expected.length).fill(0)]);
      expect(encoded.usedTokens).toBe(expected.length);
      expect(encoded.cut).toBeUndefined();
    }
  });

  it('keeps the end token of a long text and reports what was cut', async () => {
    const tokenizer = await loadTokenizer(folder);
    const text = 'a penguin is jumping in the forest';
    const whole = idsOf(tokenizer.encode(text, tokenizer.count(text)));
    const encoded = tokenizer.encode(text, 4);
    expect(idsOf(encoded)).toEqual([...whole.slice(0, 3), 1]);
    expect(encoded.usedTokens).toBe(4);
    expect(encoded.cut?.tokens).toBe(whole.length - 4);
    expect(text.endsWith(encoded.cut!.text)).toBe(true);
    expect(idsOf(tokenizer.encode(text, 1))).toEqual([1]);
    expect(() => tokenizer.encode(text, 0)).toThrow(DualrealError);
  });

  it('finds special tokens in the text, and T5 sentinels above the pieces', async () => {
    const pieces = parseSentencePieceModel(await readFile(MODEL), 'model').pieces.length;
    const sentinels = await loadTokenizer(folder);
    expect(sentinels.idLimit).toBe(pieces + 100);
    expect(idsOf(sentinels.encode('<extra_id_0></s><extra_id_99>', 4))).toEqual([pieces + 99, 1, pieces, 1]);
    await put('added_tokens.json', { '<subject>': pieces });
    const tokenizer = await loadTokenizer(folder);
    expect(tokenizer.idLimit).toBe(pieces + 1);
    expect(idsOf(tokenizer.encode('<subject>', 3))).toEqual([pieces, 1, 0]);
  });

  it('follows the special tokens of tokenizer_config.json and refuses unknown ones', async () => {
    await put('special_tokens_map.json', { pad_token: { content: '<pad>' }, eos_token: '</s>' });
    await put('tokenizer_config.json', { pad_token: '</s>', model_max_length: 226 });
    expect(idsOf((await loadTokenizer(folder)).encode('', 3))).toEqual([1, 1, 1]);
    await put('tokenizer_config.json', { pad_token: '<none>' });
    await expect(loadTokenizer(folder)).rejects.toThrow('the padding token <none>');
    await put('tokenizer_config.json', { eos_token: '<none>' });
    await expect(loadTokenizer(folder)).rejects.toThrow('the end token <none>');
    await put('tokenizer_config.json', { eos_token: 7 });
    await expect(loadTokenizer(folder)).rejects.toThrow('eos_token');
  });
});

describe('damaged models', () => {
  it('are refused at every cut inside a field', async () => {
    const bytes = await readFile(MODEL);
    const sizes = Array.from({ length: 40 }, (_, i) => Math.floor((bytes.length * i) / 40) + 1);
    for (const size of sizes) {
      expectOnlyOwnErrors(bytes.subarray(0, size));
    }
    expect(() => parseSentencePieceModel(new Uint8Array(0), 'empty')).toThrow(FileFormatError);
    const pointer = Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n');
    expect(() => parseSentencePieceModel(pointer, 'pointer')).toThrow(FileFormatError);
  });

  it('never crash or hang when bytes change', async () => {
    const bytes = await readFile(MODEL);
    const random = randomStream(7, 'spiece');
    for (let round = 0; round < 3000; round++) {
      const copy = Uint8Array.from(bytes);
      // The character map is at the end of the file, where more of the changes belong.
      const from = round % 2 ? 0 : bytes.length - 1060;
      for (let change = 0; change <= round % 4; change++) {
        copy[from + (random.bits() % (bytes.length - from))] = random.bits() & 255;
      }
      expectOnlyOwnErrors(copy);
    }
  });

  function expectOnlyOwnErrors(bytes: Uint8Array): void {
    try {
      const normalize = sentencePieceNormalizer(parseSentencePieceModel(bytes, 'damaged'), 'damaged');
      normalize('Ａ cafe\u0301, ﬁre\u3000and…');
    } catch (error) {
      expect(error).toBeInstanceOf(DualrealError);
    }
  }
});

it('refuses models of other kinds, naming why', () => {
  const model = (type: number, pieceType: number) => {
    const piece = (text: string, kind: number) => {
      const body = [0x0a, text.length, ...Buffer.from(text), 0x15, 0, 0, 0x80, 0xbf, 0x18, kind];
      return [0x0a, body.length, ...body];
    };
    return Uint8Array.from([...piece('<unk>', 2), ...piece('a', pieceType), 0x12, 2, 0x18, type]);
  };
  expect(parseSentencePieceModel(model(1, 1), 'm').unknownId).toBe(0);
  expect(() => parseSentencePieceModel(model(2, 1), 'm')).toThrow('a unigram model');
  expect(() => parseSentencePieceModel(model(1, 6), 'm')).toThrow(UnsupportedTokenizerError);
  expect(() => parseSentencePieceModel(model(1, 2), 'm')).toThrow('2 for unknown text');
});

describe('tokenizer.json', () => {
  const special = (id: number, content: string) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  // CLIP's form: byte-pair encoding with an end-of-word mark, start and end tokens.
  const clip = {
    version: '1.0',
    added_tokens: [special(6, '<|startoftext|>'), special(7, '<|endoftext|>')],
    normalizer: { type: 'Lowercase' },
    pre_tokenizer: { type: 'WhitespaceSplit' },
    post_processor: {
      type: 'RobertaProcessing',
      sep: ['<|endoftext|>', 7],
      cls: ['<|startoftext|>', 6],
      trim_offsets: false,
      add_prefix_space: false,
    },
    decoder: { type: 'BPEDecoder', suffix: '</w>' },
    model: {
      type: 'BPE',
      unk_token: '<|endoftext|>',
      continuing_subword_prefix: '',
      end_of_word_suffix: '</w>',
      fuse_unk: false,
      vocab: { a: 0, b: 1, 'a</w>': 2, 'b</w>': 3, 'ab</w>': 4, 'bab</w>': 5 },
      merges: ['a b</w>', 'b ab</w>'],
    },
  };

  it('wins over spiece.model and keeps start and end tokens when it truncates', async () => {
    await copyFile(MODEL, join(folder, 'spiece.model'));
    await put('tokenizer.json', clip);
    await put('tokenizer_config.json', { pad_token: '<|endoftext|>' });
    const tokenizer = await loadTokenizer(folder);
    expect(tokenizer.padId).toBe(7);
    expect(idsOf(tokenizer.encode('Bab ab', 6))).toEqual([6, 5, 4, 7, 7, 7]);
    const encoded = tokenizer.encode('bab ab a b', 4);
    expect(idsOf(encoded)).toEqual([6, 5, 4, 7]);
    expect(encoded.cut).toEqual({ tokens: 2, text: 'a b' });
  });

  it('takes the padding token of its own padding section', async () => {
    await put('tokenizer.json', { ...clip, padding: { pad_token: '<|endoftext|>', pad_id: 7 } });
    expect((await loadTokenizer(folder)).padId).toBe(7);
  });

  it('gives an error that names a file that cannot be used', async () => {
    await put('tokenizer.json', { ...clip, model: { type: 'Nothing' } });
    await expect(loadTokenizer(folder)).rejects.toThrow(/tokenizer\.json.*Nothing/s);
    await writeFile(join(folder, 'tokenizer.json'), '{"model": {');
    await expect(loadTokenizer(folder)).rejects.toThrow(FileFormatError);
  });
});

it('says what is missing', async () => {
  await put('vocab.json', {});
  await expect(loadTokenizer(folder)).rejects.toThrow(/tokenizer\.json or spiece\.model, got vocab\.json/);
  await expect(loadTokenizer(join(folder, 'no'))).rejects.toThrow(TokenizerMissingError);
});
