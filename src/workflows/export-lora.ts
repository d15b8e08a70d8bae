import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { joinLoras } from '../methods/lora/index.ts';
import { readLoraFile, writeLoraFile } from '../store/lora-file.ts';
import { readMethodFile } from '../store/method-file.ts';
import { kindOfTrainedFile } from '../store/trained-file.ts';
import { ExportError, type ExportRequest, type ExportResult } from './export-request.ts';
import type { WorkflowEvent } from './workflow.ts';

/** Writes one LoRA in the diffusers layout: that of a file in another dtype, or both of a run added up. */
export async function* exportLora(
  files: readonly string[],
  out: string,
  { format, fold, dtype = 'keep' }: ExportRequest,
): AsyncGenerator<WorkflowEvent, ExportResult> {
  if (format === 'pth' || fold !== 'none') {
    throw new ExportError({
      where: files.join(', '),
      expected: 'a LoRA to be written as safetensors, as it is',
      got: format === 'pth' ? 'format pth' : `fold ${fold}`,
      hint: '--out NAME.safetensors; the condition that --fold folds is DualReal’s',
    });
  }
  const loras = await Promise.all(files.map((file) => readLoraFile(file)));
  for (const message of loras.flatMap(({ notices }) => notices)) yield { type: 'notice', message };
  const joined = loras.length === 1 ? loras[0].lora : joinLoras(loras.map(({ lora }) => lora));
  await mkdir(dirname(out), { recursive: true });
  await writeLoraFile(out, joined, dtype);
  yield { type: 'artifact', kind: 'LoRA', path: out };
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return {
    path: out,
    sizeBytes: (await stat(out)).size,
    sourceSizeBytes: sizes.reduce((sum, size) => sum + size, 0),
  };
}

/** Whether files are LoRAs; what other methods than DualReal trained has no other format to go to. */
export async function areLoras(files: readonly string[]): Promise<boolean> {
  const kind = await kindOfTrainedFile(files[0]);
  if (kind !== 'method') return kind === 'lora';
  const { method } = await readMethodFile(files[0]);
  throw new ExportError({
    where: files[0],
    expected: 'adapters of DualReal, or a LoRA',
    got: `what the method ${method.name} trained`,
    hint: 'there is no other format for it: use the file as it is (generate --adapter)',
  });
}
