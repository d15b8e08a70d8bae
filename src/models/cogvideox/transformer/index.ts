export {
  parseTransformerConfig,
  type TransformerConfig,
  transformerConfigJson,
} from './config.ts';
export type { BlockSite, Probe, TransformerHooks } from './hooks.ts';
export {
  cogVideoXTransformer,
  type TokenSelection,
  type TransformerInputs,
  type TransformerOptions,
  tokenGrid,
} from './model.ts';
export { cropRegion, nominalBaseGrid, rotaryTables, sincosTable, type TokenGrid } from './positions.ts';
