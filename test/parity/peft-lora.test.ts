import { expect, it } from 'vitest';
import { input } from '../../src/graph/index.ts';
import {
  fuseLora,
  injectLora,
  type Lora,
  layersOf,
  loraTensors,
  requireLoraFits,
} from '../../src/methods/lora/index.ts';
import {
  cogVideoXTransformer,
  nominalBaseGrid,
  parseTransformerConfig,
  rotaryTables,
  tokenGrid,
} from '../../src/models/cogvideox/transformer/index.ts';
import { Parameters } from '../../src/nn/parameters.ts';
import { requireWeights } from '../../src/runtime/index.ts';
import { readLoraFile } from '../../src/store/lora-file.ts';
import type { HostTensor } from '../../src/tensor/host-tensor.ts';
import { evaluate } from './evaluate.ts';
import { describeGolden, expectClose, statedTolerance } from './golden.ts';

const LORA_FILE = 'pytorch_lora_weights.safetensors';

describeGolden('peft-lora', async (golden) => {
  const config = parseTransformerConfig(golden.json('config.json'), golden.path('config.json'));
  const { r, lora_alpha: alpha } = golden.json<{ r: number; lora_alpha: number }>('adapter_config.json');
  const io = await golden.tensors('io.safetensors');
  const weights = new Map<string, HostTensor>([...(await golden.tensors('model.safetensors'))]);
  const tolerance = { abs: statedTolerance(golden, 1e-4) };
  const known = await readLoraFile(golden.path(LORA_FILE), { alpha });
  const unknown = await readLoraFile(golden.path(LORA_FILE));
  const feeds = {
    latents: io.floats('in.hidden_states'),
    text: io.floats('in.encoder_hidden_states'),
    timestep: io.floats('in.timestep'),
  };

  /** The set and the weight that a recorded case stands for, by its name. */
  function caseOf(name: string): { lora: Lora; weight: number } | undefined {
    if (name === 'base') return undefined;
    const digits = /^lora_weight(\d)(\d*)$/.exec(name);
    if (digits) return { lora: known.lora, weight: Number(`${digits[1]}.${digits[2]}`) };
    if (name === 'lora') return { lora: known.lora, weight: 1 };
    if (name === 'lora_alpha_unknown') return { lora: unknown.lora, weight: 1 };
    return expect.fail(`no meaning is known for the recorded case ${name}`);
  }

  const cases = io.matching(/^([^.]+)\.sample$/).map((match) => match[1]);

  it('reads the file: scale alpha/r where alpha is given, else 1 with a notice', () => {
    expect(cases.length).toBeGreaterThan(0);
    for (const { scale } of known.lora.values()) expect(scale).toBe(alpha / r);
    for (const { scale } of unknown.lora.values()) expect(scale).toBe(1);
    expect(known.notices).toEqual([]);
    expect(unknown.notices.join()).toMatch(/does not say its alpha: used with scale 1/);
    requireLoraFits(LORA_FILE, known.lora, weights);
  });

  it.each(cases)('%s: through the hooks', async (name) => {
    const applied = caseOf(name);
    const parameters = new Parameters();
    const hooks =
      applied &&
      injectLora(parameters.root, [{ name: 'default', layers: layersOf(applied.lora, applied.weight) }]);
    const table = new Map([...weights, ...(applied ? loraTensors(applied.lora, 'default') : [])]);
    const output = trace(parameters, hooks);
    requireWeights(name, parameters.declared, table);
    const { sample } = await evaluate({ sample: output }, table, feeds);
    expectClose(sample, io.get(`${name}.sample`), tolerance, `${name}.sample`);
  });

  it.each(cases.filter((name) => name !== 'base'))('%s: with fused weights', async (name) => {
    const table = new Map<string, HostTensor>([...weights, ...fuseLora(weights, [caseOf(name)!])]);
    const { sample } = await evaluate({ sample: trace(new Parameters()) }, table, feeds);
    expectClose(sample, io.get(`${name}.sample`), tolerance, `${name}.sample`);
  });

  const fusedNames = io.matching(/^([^.]+)\.fused\.(.+)$/);
  it.each(fusedNames.map((match) => [match[0], match[1], match[2]]))('%s', (recorded, name, weight) => {
    const fused = fuseLora(weights, [caseOf(name)!]);
    expectClose(fused.get(weight)!, io.get(recorded), { abs: 1e-6, rel: 1e-6 }, recorded);
  });

  it.runIf(io.has('in.rotary_cos'))('positions', () => {
    const textTokens = feeds.text.shape[1];
    const grid = tokenGrid(config, feeds.latents);
    const tables = rotaryTables(config.headDim, textTokens, grid, nominalBaseGrid(config));
    for (const [name, { data, shape }] of [
      ['in.rotary_cos', tables.cos],
      ['in.rotary_sin', tables.sin],
    ] as const) {
      const half = shape[1];
      const video = data.subarray(textTokens * half);
      const pairs = Float32Array.from({ length: 2 * video.length }, (_, i) => video[Math.floor(i / 2)]);
      expectClose(pairs, io.floats(name).data, { abs: 5e-6 }, name);
    }
  });

  function trace(parameters: Parameters, hooks?: ReturnType<typeof injectLora>) {
    const inputs = {
      latents: input('latents', feeds.latents.shape),
      text: input('text', feeds.text.shape),
      timestep: input('timestep', feeds.timestep.shape),
    };
    return cogVideoXTransformer(config, parameters.root, inputs, hooks ? { hooks } : {});
  }
});
