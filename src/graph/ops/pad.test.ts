import { expect, it } from 'vitest';
import { createRuntime } from '../../runtime/runtime.ts';
import { floats } from '../../tensor/host-tensor.ts';
import { program } from '../program.ts';
import { input } from '../value.ts';
import { add } from './elementwise.ts';
import { pad, transpose } from './shape.ts';

it('pads a transposed value on the right axis, whatever onnxruntime makes of the transposes', async () => {
  const x = input('x', [1, 3, 2]);
  const padded = pad(transpose(x, [0, 2, 1]), 2, 0, 1); // [1, 2, 4]
  const back = transpose(add(padded, padded), [0, 2, 1]);
  const runtime = createRuntime({ inline: true, threads: 1 });
  const executable = await runtime.compile(program('pad', { back }));
  const results = await executable.run({ x: floats([1, 3, 2], [1, 2, 3, 4, 5, 6]) });
  await runtime.close();
  expect(results.back).toEqual(floats([1, 4, 2], [2, 4, 6, 8, 10, 12, 0, 0]));
});
