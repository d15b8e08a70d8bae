/** Integer buffers that older CLIP checkpoints carry beside the weights. */
export function isClipBuffer(name: string): boolean {
  return /^(text|vision)_model\.embeddings\.position_ids$/.test(name);
}
