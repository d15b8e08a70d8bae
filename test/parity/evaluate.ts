import { program, type Value } from '../../src/graph/index.ts';
import { createRuntime, type Tensors, type WeightTable } from '../../src/runtime/index.ts';

/** Compiles and runs one set of outputs in this thread. */
export async function evaluate(
  outputs: Readonly<Record<string, Value>>,
  weights: WeightTable,
  inputs: Tensors,
): Promise<Tensors> {
  const runtime = createRuntime({ inline: true, threads: 2 });
  const executable = await runtime.compile(program('parity', outputs), { weights });
  try {
    return await executable.run(inputs);
  } finally {
    await executable.release();
    await runtime.close();
  }
}
