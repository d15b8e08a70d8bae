export { injectLora, type LoraAdapter } from './inject.ts';
export {
  fuseLora,
  isHooked,
  joinLoras,
  type Lora,
  type LoraModule,
  layersOf,
  loraOf,
  loraTensors,
  requireLoraFits,
} from './lora.ts';
export { loraMethod, loraSampling } from './method.ts';
export { LORA_TARGETS, type LoraOptions, loraOptionsSchema } from './options.ts';
