import { type Method, markPhrase, SubjectWordError } from '../methods/index.ts';
import type { FeatureCache } from '../store/feature-cache.ts';
import { type FloatTensor, floats, reshaped, zeros } from '../tensor/host-tensor.ts';
import { encodeText } from './encode-text.ts';
import type { EncoderSource } from './encoders.ts';

/** Ones at the tokens [S] of a caption that are the subject's word; refuses a caption without it, by name. */
export async function markSubject(
  caption: string,
  word: string,
  encoders: EncoderSource,
  where = 'caption',
): Promise<FloatTensor> {
  const [{ ids }, { words }] = [await encoders.tokenize(caption), await encoders.tokenize(word)];
  try {
    const row = markPhrase(ids, words);
    return floats([row.length], row);
  } catch (cause) {
    if (!(cause instanceof SubjectWordError)) throw cause;
    throw new SubjectWordError({
      where,
      expected: `a caption with the subject's word, "${word}"`,
      got: `"${caption}"`,
      hint: 'name the subject by the same word everywhere, and that word with --subject-word',
      cause,
    });
  }
}

/** The text embedding [E] of a word alone: the mean over its tokens. */
export async function wordEmbedding(
  word: string,
  encoders: EncoderSource,
  cache: FeatureCache,
): Promise<FloatTensor> {
  const marks = await markSubject(word, word, encoders, 'option --class-word');
  const { data, shape } = await encodeText(word, encoders, cache, () => {});
  const [tokens, width] = shape;
  const mean = new Float32Array(width);
  const count = marks.data.reduce((sum, mark) => sum + mark, 0);
  for (let token = 0; token < tokens; token++) {
    if (marks.data[token] === 0) continue;
    for (let i = 0; i < width; i++) mean[i] += data[token * width + i] / count;
  }
  return floats([width], mean);
}

/** Marks [1, S] of the subject's word in a prompt, where the method's model asks for them. */
export async function promptSubject(
  prompt: string,
  {
    naming,
    subjectWord: word,
  }: { readonly naming: Method['subjectWord']; readonly subjectWord?: string | undefined },
  encoders: EncoderSource,
): Promise<{ readonly subjectTokens?: FloatTensor; readonly notice?: string }> {
  if (naming !== 'captions and prompts' || word === undefined) return {};
  try {
    const marks = await markSubject(prompt, word, encoders);
    return { subjectTokens: reshaped(marks, [1, ...marks.shape]) };
  } catch (error) {
    if (!(error instanceof SubjectWordError)) throw error;
    const { ids } = await encoders.tokenize(prompt);
    const notice = `the prompt "${prompt}" does not name the subject ("${word}"): its learnt word is not used`;
    return { subjectTokens: zeros('f32', [1, ids.length]), notice };
  }
}
