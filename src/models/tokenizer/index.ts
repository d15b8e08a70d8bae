export { loadTokenizer, TokenizerMissingError } from './load.ts';
export { UnsupportedTokenizerError } from './sentencepiece-model.ts';
export {
  createTextTokenizer,
  type TextTokenizer,
  type TokenizedText,
  type TokenizerParts,
} from './text-tokenizer.ts';
