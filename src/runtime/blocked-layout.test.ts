import { arch } from 'node:os';
import { expect, it, vi } from 'vitest';
import * as g from '../graph/index.ts';
import type { WriteOptions } from '../graph/onnx-writer.ts';
import { findBlockedChannels } from './blocked-layout.ts';
import { createRuntime } from './runtime.ts';

const targets = vi.hoisted((): unknown[] => []);

vi.mock('../graph/onnx-writer.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../graph/onnx-writer.ts')>();
  const writeOnnx = (program: g.Program, options: WriteOptions) => {
    targets.push(options.target);
    return original.writeOnnx(program, options);
  };
  return { ...original, writeOnnx };
});

it('finds the block of x64 processors', { skip: arch() !== 'x64' }, async () => {
  expect([8, 16]).toContain(await findBlockedChannels());
});

it('tells the writer what it found: training a VAE without is half as fast', async () => {
  const runtime = createRuntime({ inline: true, threads: 1 });
  const program = g.program('convolution', {
    y: g.conv2d(g.input('x', [1, 16, 2, 2]), g.input('w', [16, 16, 1, 1])),
  });
  await (await runtime.compile(program)).release();
  await runtime.close();
  expect(targets).toEqual([{ backend: 'cpu', blockedChannels: await findBlockedChannels() }]);
});
