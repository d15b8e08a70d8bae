import { type FeatureCache, featureKey } from '../store/feature-cache.ts';
import { asFloats, type FloatTensor } from '../tensor/host-tensor.ts';
import type { EncoderSource } from './encoders.ts';

/** The embedding [S, E] of a prompt, through the cache. */
export async function encodeText(
  prompt: string,
  encoders: EncoderSource,
  cache: FeatureCache,
  notice: (message: string) => void,
): Promise<FloatTensor> {
  const key = featureKey({ kind: 'text', version: 1, encoder: encoders.fingerprints.text, prompt });
  const stored = await cache.getOrCompute(
    key,
    async (note) => {
      const { embedding, notes } = await (await encoders.text()).encode(prompt);
      for (const each of notes) note(each);
      return new Map([['embedding', embedding]]);
    },
    notice,
  );
  return asFloats(stored.get('embedding')!);
}
