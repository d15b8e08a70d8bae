// A program of its own, because what it tries can be tried once per process: doubles a number on the WebGPU
// backend, in the engine's thread, and prints it.
import * as g from '../../src/graph/index.ts';
import { createRuntime } from '../../src/runtime/index.ts';
import { floats } from '../../src/tensor/host-tensor.ts';

const runtime = createRuntime({ backend: 'webgpu', threads: 1 });
try {
  const x = g.input('x', [1]);
  const executable = await runtime.compile(g.program('probe', { y: g.add(x, x) }));
  const { y } = await executable.run({ x: floats([1], [21]) });
  await executable.release();
  console.log(`computed ${y.data[0]}`);
} catch (error) {
  console.log(`failed: ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`);
}
await runtime.close();
