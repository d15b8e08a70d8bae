import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { DualrealError, FileFormatError } from '../../tensor/errors.ts';
import { parseStrictJson, quoteBriefly } from '../../tensor/strict-json.ts';
import { type AddedToken, sentencePieceTokenizerJson } from './sentencepiece-json.ts';
import { parseSentencePieceModel } from './sentencepiece-model.ts';
import { sentencePieceNormalizer } from './sentencepiece-text.ts';
import { createTextTokenizer, type TextTokenizer } from './text-tokenizer.ts';

/** A tokenizer folder without the files that are needed. */
export class TokenizerMissingError extends DualrealError {}

const tokenSchema = z.union([z.string(), z.looseObject({ content: z.string() })]);

const configSchema = z.looseObject({
  pad_token: tokenSchema.nullish(),
  eos_token: tokenSchema.nullish(),
  extra_ids: z.int().min(0).max(10_000).optional(),
  added_tokens_decoder: z
    .record(z.string().regex(/^\d+$/), z.looseObject({ content: z.string() }))
    .optional(),
});

const paddingSchema = z.looseObject({
  padding: z.looseObject({ pad_token: z.string().optional() }).nullish(),
});

const addedTokensSchema = z.record(z.string(), z.int().min(0));

type TokenizerConfig = z.output<typeof configSchema>;

/**
 * Opens a tokenizer folder of the Hugging Face layout: `tokenizer.json`, or else T5's `spiece.model` (which is
 * all that the published CogVideoX checkpoints carry), with `tokenizer_config.json`, `special_tokens_map.json`
 * and `added_tokens.json` where they are.
 */
export async function loadTokenizer(folder: string): Promise<TextTokenizer> {
  const files = await readdir(folder).catch((cause: unknown) => {
    throw new TokenizerMissingError({ where: folder, expected: 'a tokenizer folder', got: 'none', cause });
  });
  const read = async (name: string) =>
    files.includes(name)
      ? parseStrictJson(await readFile(join(folder, name)), join(folder, name))
      : undefined;
  const specials = parseFile(configSchema, (await read('special_tokens_map.json')) ?? {}, folder);
  const own = parseFile(configSchema, (await read('tokenizer_config.json')) ?? {}, folder);
  const config: TokenizerConfig = { ...specials, ...own };

  const json = await read('tokenizer.json');
  if (json !== undefined) {
    const where = join(folder, 'tokenizer.json');
    const { padding } = parseFile(paddingSchema, json, folder);
    const padToken = textOf(config.pad_token) ?? padding?.pad_token ?? '<pad>';
    return createTextTokenizer({ json, config, padToken, where });
  }
  if (!files.includes('spiece.model')) {
    throw new TokenizerMissingError({
      where: folder,
      expected: 'tokenizer.json or spiece.model',
      got: files.length ? files.sort().join(', ') : 'an empty folder',
      hint: 'get the missing file from the model that the text encoder came with',
    });
  }
  const where = join(folder, 'spiece.model');
  const model = parseSentencePieceModel(await readFile(where), where);
  const listed = parseFile(addedTokensSchema, (await read('added_tokens.json')) ?? {}, folder);
  const endToken = textOf(config.eos_token) ?? '</s>';
  if (!model.pieces.some((piece) => piece.text === endToken)) {
    throw new FileFormatError({
      where,
      expected: `a vocabulary with the end token ${endToken}`,
      got: 'one without',
    });
  }
  const added = addedTokens(config, listed, model.pieces.length);
  return createTextTokenizer({
    json: sentencePieceTokenizerJson(model, endToken, added),
    config: {},
    padToken: textOf(config.pad_token) ?? '<pad>',
    normalize: sentencePieceNormalizer(model, where),
    where,
  });
}

function parseFile<T>(schema: z.ZodType<T>, json: unknown, folder: string): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new FileFormatError({
    where: `${folder}, tokenizer field ${issue.path.join('.')}`,
    expected: 'a tokenizer description of transformers',
    got: `${quoteBriefly(json)} (${issue.message})`,
  });
}

function textOf(token: z.output<typeof tokenSchema> | null | undefined): string | undefined {
  return typeof token === 'string' ? token : token?.content;
}

/**
 * Tokens beyond the model's pieces: those listed, or T5's `extra_ids` sentinels, which are numbered downwards
 * from the end (transformers T5Tokenizer).
 */
function addedTokens(
  { added_tokens_decoder: decoder, extra_ids: extraIds = 100 }: TokenizerConfig,
  listed: Readonly<Record<string, number>>,
  pieces: number,
): AddedToken[] {
  const fromDecoder = Object.entries(decoder ?? {}).map(([id, { content }]) => ({ id: Number(id), content }));
  const fromList = Object.entries(listed).map(([content, id]) => ({ id, content }));
  const known = [...fromDecoder, ...fromList].filter((token) => token.id >= pieces);
  if (known.length > 0) return [...new Map(known.map((token) => [token.id, token])).values()];
  return Array.from({ length: extraIds }, (_, i) => ({
    id: pieces + extraIds - 1 - i,
    content: `<extra_id_${i}>`,
  }));
}
