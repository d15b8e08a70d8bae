import { OptimizerSettingError } from './adamw.ts';
import type { ParameterArena } from './parameter-arena.ts';

/** Sets the moving average to the present parameters. */
export function startMovingAverage(arena: ParameterArena): void {
  for (const { name } of arena.tensors) arena.averageOf(name).set(arena.parameterOf(name));
}

/** average ← decay·average + (1 − decay)·parameter, for the named groups (default: all). */
export function updateMovingAverage(arena: ParameterArena, decay: number, groups?: readonly string[]): void {
  if (!(decay >= 0 && decay <= 1)) {
    throw new OptimizerSettingError({
      where: 'moving average decay',
      expected: 'a number in [0, 1]',
      got: `${decay}`,
    });
  }
  for (const tensor of arena.tensorsOf(groups)) {
    arena.kernels.movingAverage(
      arena.addressOf('average', tensor),
      arena.addressOf('parameter', tensor),
      tensor.length,
      decay,
      1 - decay,
    );
  }
}
