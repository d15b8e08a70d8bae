/**
 * Time of one AdamW update of 12.6 M parameters (norm for clipping, then the update), against a plain
 * JavaScript loop in the same run. Prints one JSON line: `npx tsx bench/adamw.ts`.
 */
import { AdamW } from '../src/runtime/optimizer/adamw.ts';
import { ParameterArena } from '../src/runtime/optimizer/parameter-arena.ts';

const PARAMETERS = 12_600_000;
const TENSORS = 126;
const ROUNDS = 20;
const [beta1, beta2] = [0.9, 0.95];
const settings = { betas: [beta1, beta2] as const, epsilon: 1e-8, weightDecay: 1e-4, maxGradientNorm: 1 };
const learningRate = 1e-3;

function fastestOf(rounds: number, action: () => void): number {
  let fastest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    action();
    fastest = Math.min(fastest, performance.now() - start);
  }
  return Number(fastest.toFixed(2));
}

const wave = (length: number, scale: number) => Float32Array.from({ length }, (_, i) => Math.sin(i) * scale);

const arena = new ParameterArena(
  Array.from({ length: TENSORS }, (_, index) => ({
    name: `tensor.${index}`,
    shape: [PARAMETERS / TENSORS],
    group: 'all',
  })),
);
for (const { name, length } of arena.tensors) {
  arena.parameterOf(name).set(wave(length, 1));
  arena.gradientOf(name).set(wave(length, 1e-3));
}
const optimizer = new AdamW(arena, settings);
const stepMs = fastestOf(ROUNDS, () => optimizer.step({ learningRate }));
const normMs = fastestOf(ROUNDS, () => {
  for (const tensor of arena.tensors) {
    arena.kernels.sumOfSquares(arena.addressOf('gradient', tensor), tensor.length);
  }
});

const parameter = wave(PARAMETERS, 1);
const gradient = wave(PARAMETERS, 1e-3);
const first = new Float32Array(PARAMETERS);
const second = new Float32Array(PARAMETERS);
let count = 0;
const javascriptMs = fastestOf(5, () => {
  count++;
  let squares = 0;
  for (let i = 0; i < PARAMETERS; i++) squares += gradient[i] * gradient[i];
  const clip = Math.min(1, settings.maxGradientNorm / (Math.sqrt(squares) + 1e-6));
  const decay = 1 - learningRate * settings.weightDecay;
  const size = learningRate / (1 - beta1 ** count);
  const correction = Math.sqrt(1 - beta2 ** count);
  for (let i = 0; i < PARAMETERS; i++) {
    const g = gradient[i] * clip;
    const m = beta1 * first[i] + (1 - beta1) * g;
    const v = beta2 * second[i] + (1 - beta2) * g * g;
    first[i] = m;
    second[i] = v;
    parameter[i] = decay * parameter[i] - (size * m) / (Math.sqrt(v) / correction + settings.epsilon);
  }
});

const record = {
  bench: 'adamw',
  parameters: PARAMETERS,
  stepMs,
  normMs,
  updateMs: Number((stepMs - normMs).toFixed(2)),
  javascriptMs,
  timesFaster: Number((javascriptMs / stepMs).toFixed(1)),
};
console.log(JSON.stringify(record));
