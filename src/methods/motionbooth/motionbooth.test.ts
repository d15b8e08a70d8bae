import { describe, expect, it } from 'vitest';
import * as g from '../../graph/index.ts';
import { GRADIENT_PREFIX } from '../../runtime/index.ts';
import { asFloats, floats } from '../../tensor/host-tensor.ts';
import {
  expectGradients,
  inputsOf,
  randomTensor,
  run,
  tinyBatch,
  tinyConfig,
  valuesOf,
} from '../trial.cases.ts';
import { attentionLoss, subjectAttention, tokenMask } from './attention-loss.ts';
import { motionBoothMethod } from './method.ts';

const masked = { ...tinyBatch, masked: true };
const subject = { stage: 'subject', phase: 'subject' };
const lora = { rank: 3, alpha: 6 };

describe('MotionBooth', () => {
  it('subject: gradients of all weights agree with finite differences', async () => {
    // Weighted up, so that a wrong gradient of the attention loss would show.
    const method = motionBoothMethod({ attentionWeight: 5 });
    await expectGradients(method, subject, masked, [
      /patch_embed/,
      /\.0\.attn1\.to_q/,
      /attn1\.to_k/,
      /attn1\.norm_[qk]/,
      /ff/,
      /norm_out/,
    ]);
  });

  it.each(['joint', 'text'] as const)(
    'attention over %s tokens: gradients, on its own',
    async (attentionOver) => {
      const method = motionBoothMethod({ tune: 'lora', lora, attentionWeight: 50, attentionOver });
      const noRegion = { ...masked };
      await expectGradients(method, subject, noRegion, [/to_q\.lora_A/, /to_q\.lora_B/, /to_k/, /to_out/]);
    },
  );

  it('preservation, and photos without masks: the plain loss', async () => {
    const method = motionBoothMethod({ tune: 'lora', lora });
    await expectGradients(method, { ...subject, phase: 'preservation' }, tinyBatch);
    const [plain, preservation] = ['subject', 'preservation'].map((phase) =>
      method.objective({ config: tinyConfig, stage: 'subject', phase, shape: tinyBatch }),
    );
    const inputs = inputsOf(plain);
    expect((await run(plain, inputs)).loss).toEqual((await run(preservation, inputs)).loss);
  });

  it('the loss is that of the region plus the weighted one of attention', async () => {
    const method = motionBoothMethod({ tune: 'lora', lora, attentionWeight: 0.25 });
    const program = method.objective({ config: tinyConfig, ...subject, shape: masked });
    const { loss, regionLoss, attentionLoss: attention } = await run(program, inputsOf(program));
    const [total, region, attended] = [loss, regionLoss, attention].map(({ data }) => Number(data[0]));
    expect(total).toBeCloseTo(region + 0.25 * attended, 5);
    expect(attended).toBeGreaterThan(0);
  });

  it('gradients are the same when blocks are computed again in the backward pass', async () => {
    const method = motionBoothMethod({ tune: 'lora', lora, attentionWeight: 5 });
    const request = { config: tinyConfig, ...subject, shape: masked };
    const kept = method.objective(request);
    const again = method.objective({ ...request, trace: { checkpointBlocks: true } });
    const inputs = inputsOf(kept);
    const [a, b] = [await run(kept, inputs), await run(again, inputs)];
    expect(again.nodes.length).toBeGreaterThan(kept.nodes.length);
    const name = `${GRADIENT_PREFIX}transformer_blocks.0.attn1.to_q.lora_A.subject.weight`;
    for (const [i, value] of asFloats(a[name]).data.entries()) {
      expect(asFloats(b[name]).data[i]).toBeCloseTo(value, 5);
    }
  });

  it('an unused attention hook leaves no trace in the program', () => {
    const method = motionBoothMethod({ tune: 'lora', lora });
    const request = { config: tinyConfig, ...subject, phase: 'preservation', shape: tinyBatch };
    const attentions = method.objective(request).nodes.filter(({ op }) => op.name === 'attention');
    expect(attentions).toHaveLength(tinyConfig.blocks);
    const withMask = method.objective({ ...request, phase: 'subject', shape: masked });
    expect(withMask.nodes.filter(({ op }) => op.name === 'attention')).toHaveLength(tinyConfig.blocks + 3);
  });
});

describe('the attention loss by hand', () => {
  // One head of width 1, two text tokens, two video tokens. Scores are q·k.
  const q = g.input('q', [1, 1, 4, 1]);
  const k = g.input('k', [1, 1, 4, 1]);
  const marked = g.input('marked', [1, 2]);
  const inputs = {
    q: floats([1, 1, 4, 1], [9, 9, 1, 0]),
    k: floats([1, 1, 4, 1], [Math.log(2), 0, Math.log(3), Math.log(4)]),
    marked: floats([1, 2], [1, 0]),
  };

  it('joint: the share of the marked token among all tokens', async () => {
    const { share } = await valuesOf({ share: subjectAttention(q, k, marked, 'joint') }, inputs);
    // The first video token has weights 2, 1, 3, 4 of 10, the second equal ones.
    expect(share.shape).toEqual([1, 2]);
    expect([...share.data].map((x) => x.toFixed(5))).toEqual(['0.20000', '0.25000']);
  });

  it('text: its share among the text tokens', async () => {
    const { share } = await valuesOf({ share: subjectAttention(q, k, marked, 'text') }, inputs);
    expect([...share.data].map((x) => x.toFixed(5))).toEqual(['0.66667', '0.50000']);
  });

  it('two marked tokens count with their mean, heads too', async () => {
    const both = { ...inputs, marked: floats([1, 2], [1, 1]) };
    const { share } = await valuesOf({ share: subjectAttention(q, k, marked, 'joint') }, both);
    expect([...share.data].map((x) => x.toFixed(5))).toEqual(['0.15000', '0.25000']);
    const twice = (name: string) => g.input(name, [1, 2, 4, 1]);
    const heads = {
      marked: inputs.marked,
      qq: floats([1, 2, 4, 1], [9, 9, 1, 0, 9, 9, 0, 1]),
      kk: floats([1, 2, 4, 1], [...inputs.k.data, ...inputs.k.data]),
    };
    const value = subjectAttention(twice('qq'), twice('kk'), marked, 'joint');
    const { share: mean } = await valuesOf({ share: value }, heads);
    expect([...mean.data].map((x) => x.toFixed(5))).toEqual(['0.22500', '0.22500']);
  });

  it('is the softmax block that attention itself uses, for random queries', async () => {
    const shape = [2, 3, 7, 4];
    const [a, b] = ['a', 'b'].map((name) => g.input(name, shape));
    const at = g.input('at', [2, 3]);
    const [, weights] = g.attentionWithWeights(a, b, b);
    const block = g.slice(g.slice(weights, 2, 3, 7), 3, 1, 3); // video queries, text keys 1 and 2
    const expected = g.mean(g.mean(block, [3]), [1]);
    const values = await valuesOf(
      { expected, share: subjectAttention(a, b, at, 'joint') },
      { a: randomTensor('a', shape), b: randomTensor('b', shape), at: floats([2, 3], [0, 1, 1, 0, 1, 1]) },
    );
    for (const [i, value] of values.expected.data.entries())
      expect(values.share.data[i]).toBeCloseTo(value, 6);
  });

  it('cross-entropy: −mean of m·log p + (1−m)·log(1−p), finite at 0 and 1', async () => {
    const attention = g.input('attention', [1, 2]);
    const mask = g.input('target', [1, 2]);
    const loss = attentionLoss(attention, mask);
    const at = async (p: number[], m: number[]) =>
      (await valuesOf({ loss }, { attention: floats([1, 2], p), target: floats([1, 2], m) })).loss.data[0];
    expect(await at([0.2, 0.25], [1, 0])).toBeCloseTo((-Math.log(0.2) - Math.log(0.75)) / 2, 5);
    expect(await at([0.2, 0.25], [0.5, 0.5])).toBeCloseTo(
      -(Math.log(0.2) + Math.log(0.8) + Math.log(0.25) + Math.log(0.75)) / 4,
      5,
    );
    expect(await at([0, 1], [1, 0])).toBeCloseTo(23 * Math.log(2), 4);
  });

  it('a mask on the token grid is the mean of each patch', async () => {
    const mask = g.input('latent', [1, 1, 1, 2, 4]);
    const { tokens } = await valuesOf(
      { tokens: tokenMask(mask, 2) },
      { latent: floats([1, 1, 1, 2, 4], [1, 0, 1, 1, 1, 0, 1, 1]) },
    );
    expect([...tokens.data]).toEqual([0.5, 1]);
  });
});
