import { CharacterMap } from './charsmap.ts';
import type { SentencePieceModel } from './sentencepiece-model.ts';

const SPACE = 0x20;

/**
 * SentencePiece's text normalisation (google/sentencepiece `normalizer.cc`) but for the escaped spaces and the
 * dummy prefix, which the pre-tokenizer adds: the model's own character map is applied byte by byte, spaces
 * at both ends go, and runs of spaces become one.
 */
export function sentencePieceNormalizer(
  { characterMap, removeExtraWhitespace }: SentencePieceModel,
  where: string,
): (text: string) => string {
  const map = new CharacterMap(characterMap, where);
  return (text) => {
    const bytes = new TextEncoder().encode(text);
    const out: number[] = [];
    let afterSpace = removeExtraWhitespace;
    for (let at = 0; at < bytes.length; ) {
      const match = map.longestMatch(bytes, at);
      const lengthBytes = match?.lengthBytes ?? characterLength(bytes[at]);
      let piece = match?.replacement ?? bytes.subarray(at, at + lengthBytes);
      at += lengthBytes;
      while (afterSpace && piece[0] === SPACE) piece = piece.subarray(1);
      if (piece.length === 0) continue;
      for (const byte of piece) out.push(byte);
      afterSpace = removeExtraWhitespace && piece[piece.length - 1] === SPACE;
    }
    if (removeExtraWhitespace) while (out.at(-1) === SPACE) out.pop();
    return new TextDecoder().decode(Uint8Array.from(out));
  };
}

/** Bytes of the UTF-8 character that starts with `lead`. */
function characterLength(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}
