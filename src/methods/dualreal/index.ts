export { FoldError, foldCondition, fuseAdapters } from './fold.ts';
export { initialParameters } from './initialize.ts';
export { type Injection, type InjectionRequest, injectDualReal } from './inject.ts';
export {
  AdapterLayoutError,
  type DualRealShape,
  expectedTensors,
  inferDualRealShape,
} from './layout.ts';
export {
  type AdapterSite,
  adapterName,
  type Dimension,
  type ParameterGroup,
  parameterGroup,
} from './names.ts';
export { type BatchShape, type DualRealModel, dualRealObjective, traceDualReal } from './objective.ts';
export {
  DUALREAL_PRESETS,
  type DualRealOptions,
  type DualRealPreset,
  dualRealOptionsSchema,
  GroupCountError,
  requireGroups,
} from './options.ts';
