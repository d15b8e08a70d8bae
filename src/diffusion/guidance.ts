import { ShapeError } from '../tensor/errors.ts';
import { type FloatTensor, floats } from '../tensor/host-tensor.ts';
import { formatShape, sameShape } from '../tensor/shape.ts';

export const GUIDANCE_SCHEDULES = ['constant', 'dynamic'] as const;
export type GuidanceScheduleKind = (typeof GUIDANCE_SCHEDULES)[number];

/** The guidance scale at a training timestep. */
export type GuidanceSchedule = (timestep: number) => number;

/**
 * Classifier-free guidance (Ho and Salimans 2022): u + s·(c − u). A scale of 1 gives the conditional output;
 * callers skip the unconditional half then. Both tensors of one shape, else {@link ShapeError}.
 */
export function combineGuidance(
  unconditional: FloatTensor,
  conditional: FloatTensor,
  scale: number,
): FloatTensor {
  if (!sameShape(unconditional.shape, conditional.shape)) {
    throw new ShapeError({
      where: 'guidance',
      expected: formatShape(unconditional.shape),
      got: formatShape(conditional.shape),
    });
  }
  return floats(unconditional.shape, mix(unconditional.data, conditional.data, scale));
}

/** The same for one doubled batch, unconditional half first as the CogVideoX pipeline orders it. */
export function combineGuidedBatch(output: FloatTensor, scale: number): FloatTensor {
  const [doubled, ...rest] = output.shape;
  if (doubled === undefined || doubled % 2 !== 0) {
    throw new ShapeError({ where: 'guidance', expected: 'an even batch', got: formatShape(output.shape) });
  }
  const half = output.data.length / 2;
  const mixed = mix(output.data.subarray(0, half), output.data.subarray(half), scale);
  return floats([doubled / 2, ...rest], mixed); // [2B, …] → [B, …]
}

function mix(unconditional: Float32Array, conditional: Float32Array, scale: number): Float32Array {
  const result = new Float32Array(unconditional.length);
  for (let i = 0; i < result.length; i++) {
    result[i] = unconditional[i] + scale * (conditional[i] - unconditional[i]);
  }
  return result;
}

/** The guidance schedule of a kind for a run of `steps` sampling steps. */
export function guidanceSchedule(kind: GuidanceScheduleKind, scale: number, steps: number): GuidanceSchedule {
  return kind === 'constant' ? () => scale : dynamicGuidance(scale, steps);
}

/**
 * `use_dynamic_cfg` of the CogVideoX pipeline, reproduced as it is: 1 + s·(1 − cos(π·((N − t)/N)⁵))/2. The
 * formula is meant for a step index 0 … N, from which it would rise smoothly from 1 to 1 + s; the pipeline puts
 * the training timestep (up to 999) there, so the scale jumps about between 1 and 1 + s.
 */
function dynamicGuidance(scale: number, steps: number): GuidanceSchedule {
  return (timestep) => 1 + (scale * (1 - Math.cos(Math.PI * fifthPower((steps - timestep) / steps)))) / 2;
}

/**
 * x⁵ rounded once. Far from the intended range the power reaches 10¹⁰ and more, where one unit in the last
 * place, which Math.pow may miss by, moves the cosine by 10⁻⁶.
 */
function fifthPower(value: number): number {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, Math.abs(value));
  const word = bits.getBigUint64(0);
  const exponent = Number(word >> 52n);
  if (exponent === 0) return value ** 5; // zero or subnormal: the power underflows to 0 either way
  const mantissa = (word & 0xfffffffffffffn) | 0x10000000000000n;
  return Math.sign(value) * Number(mantissa ** 5n) * 2 ** (5 * (exponent - 1075));
}
