import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openBase } from './base.ts';
import { EMBEDDED_BASE_FOLDER, EmbeddedBaseError, isBaseFolder } from './base-location.ts';
import { doctorShape } from './doctor-shape.ts';
import { initBase, initBaseRequestSchema } from './init-base.ts';
import { runWorkflow } from './workflow.ts';

it('is that of the base; without one, of the embedded base as soon as there is one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'doctor-shape-'));
  const base = join(folder, 'base');
  await runWorkflow(initBase(initBaseRequestSchema.parse({ out: base, size: 'tiny' })), () => {});
  const { sizeRule } = await openBase(base);
  expect(await doctorShape(base)).toEqual({
    width: 32,
    height: 32,
    frames: 9,
    playbackFps: 8,
    temporalRatio: sizeRule.temporalRatio,
  });
  await rm(folder, { recursive: true });
  const embedded = await doctorShape(undefined);
  if (isBaseFolder(EMBEDDED_BASE_FOLDER)) expect(embedded).toMatchObject({ width: 64, height: 64 });
  else {
    expect(embedded).toBeUndefined();
    await expect(doctorShape('toybox')).rejects.toThrow(EmbeddedBaseError);
  }
});
