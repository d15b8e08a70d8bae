// Whether WebGPU computes here, and how fast: node scripts/gpu-probe.mjs FOLDER-WITH-DIST (see gpu-run.sh check)
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

const part = (path) => import(pathToFileURL(join(process.argv[2], 'dist', path)).href);
const g = await part('graph/index.js');
const { createRuntime } = await part('runtime/index.js');
const { floats } = await part('tensor/host-tensor.js');

const runtime = createRuntime({ backend: 'webgpu', threads: 1 });
try {
  const small = await runtime.compile(g.program('small', { y: g.mul(g.input('x', [1]), 6) }));
  const { y } = await small.run({ x: floats([1], [7]) });
  console.log(`WebGPU computes: 6 · 7 = ${y.data[0]}`);
  if (process.argv[3] !== 'fast') {
    // A chain of products, so that sending the operands does not count.
    const [side, links] = [2048, 16];
    let x = g.input('x', [side, side]);
    const a = g.input('a', [side, side]);
    for (let i = 0; i < links; i++) x = g.matmul(x, a);
    const chain = await runtime.compile(g.program('chain', { y: g.mean(x) }));
    const inputs = Object.fromEntries(
      ['x', 'a'].map((name) => [name, floats([side, side], new Float32Array(side * side).fill(1e-3))]),
    );
    await chain.run(inputs);
    const started = performance.now();
    await chain.run(inputs);
    const seconds = (performance.now() - started) / 1000;
    console.log(
      `${links} products of ${side}²: ${(seconds * 1000).toFixed(0)} ms, ` +
        `${((2 * links * side ** 3) / seconds / 1e12).toFixed(2)} TFLOP/s with the transfer`,
    );
  }
} catch (error) {
  console.log(`WebGPU does not compute: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
await runtime.close();
