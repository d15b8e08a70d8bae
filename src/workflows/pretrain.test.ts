import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRuntime } from '../runtime/index.ts';
import { latestCheckpoint } from '../store/checkpoint.ts';
import { RunFolderError, readRun } from '../store/run-folder.ts';
import { bytesOf } from '../tensor/dtype.ts';
import { CancelledError } from '../tensor/errors.ts';
import { buildAtlas } from '../toybox/universe/atlas-build.ts';
import { DRAWN_ART } from '../toybox/universe/drawn-art.fixture.ts';
import { pretrain } from './pretrain.ts';
import { pretrainRequestSchema } from './pretrain-request.ts';
import { runWorkflow, type WorkflowContext } from './workflow.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dualreal-pretrain-'));
  await buildAtlas(DRAWN_ART, join(folder, 'toybox-atlas'));
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

const requestOf = (fields: object) =>
  pretrainRequestSchema.parse({
    model: 'dino',
    batch: 2,
    steps: 4,
    threads: 1,
    stateFolder: folder,
    cacheFolder: folder,
    ...fields,
  });

const contextOf = (signal?: AbortSignal): WorkflowContext => ({
  signal,
  clock: () => performance.now(),
  openRuntime: ({ threads }) => createRuntime({ inline: true, ...(threads && { threads }) }),
  cacheFolder: folder,
});

async function stateOf(name: string): Promise<Map<string, Buffer>> {
  const { checkpoint } = await latestCheckpoint(await readRun(join(folder, name)));
  expect(checkpoint?.step).toBe(4);
  return new Map(
    [...checkpoint!.tensors].map(([tensor, { data }]) => [tensor, Buffer.from(bytesOf(data).slice())]),
  );
}

describe('pretraining', () => {
  it('goes on bit by bit where it was stopped', { timeout: 120_000 }, async () => {
    await runWorkflow(pretrain(requestOf({ name: 'whole' }), contextOf()), () => {});

    const stop = new AbortController();
    const stopped = runWorkflow(pretrain(requestOf({ name: 'parts' }), contextOf(stop.signal)), (event) => {
      if (event.type === 'pretrain' && event.step === 2) stop.abort();
    });
    await expect(stopped).rejects.toThrow(CancelledError);
    const resumed = await runWorkflow(
      // The batch, which is not the recipe's, is taken from the run.
      pretrain(requestOf({ name: 'parts', resume: true, batch: undefined }), contextOf()),
      () => {},
    );
    expect(resumed).toMatchObject({ step: 4, totalSteps: 4 });

    const [whole, parts] = [await stateOf('whole'), await stateOf('parts')];
    expect([...parts.keys()].sort()).toEqual([...whole.keys()].sort());
    for (const [name, bytes] of whole) expect(bytes.equals(parts.get(name)!), name).toBe(true);
    // The teacher is carried beside the parameters, and has moved from where it started.
    expect(whole.get('carried/teacher.norm.bias')!.some((byte) => byte !== 0)).toBe(true);

    const lines = (await readFile(join(folder, 'parts', 'metrics.jsonl'), 'utf8')).trim().split('\n');
    const steps = lines.map((line) => JSON.parse(line) as { step: number; loss?: number });
    expect(steps.filter(({ loss }) => loss !== undefined).map(({ step }) => step)).toEqual([1, 2, 3, 4]);
  });

  it('refuses another seed, unknown variants, and to begin where a run is', async () => {
    const other = pretrain(requestOf({ name: 'whole', resume: true, seed: 2 }), contextOf());
    await expect(runWorkflow(other, () => {})).rejects.toThrow(/seed/);
    const unknown = pretrain(requestOf({ name: 'other', variant: 'nonsense' }), contextOf());
    await expect(runWorkflow(unknown, () => {})).rejects.toThrow(/nonsense/);
    expect(existsSync(join(folder, 'other'))).toBe(false);
    const again = pretrain(requestOf({ name: 'whole' }), contextOf());
    await expect(runWorkflow(again, () => {})).rejects.toThrow(RunFolderError);
  });
});
