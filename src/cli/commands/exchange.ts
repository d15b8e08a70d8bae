import type { Command } from 'commander';
import { encodeReferenceImage } from '../../workflows/encode-reference.ts';
import { exportAdapter, exportRequestSchema } from '../../workflows/export.ts';
import { importAdapter, importRequestSchema } from '../../workflows/import.ts';
import { number, parseRequest, RequestError } from '../options.ts';
import { runPrinted } from '../run.ts';

interface ExportFlags {
  readonly out: string;
  readonly fold?: boolean;
  readonly keepAdapters?: boolean;
  readonly base?: string;
  readonly imageEncoder?: string;
  readonly dtype?: string;
  readonly reference?: string;
  readonly overwrite?: boolean;
}

export function addExchangeCommands(program: Command): void {
  program
    .command('export')
    .description(
      'write adapters for the official release (.pth), in another dtype, or folded; or a LoRA for diffusers',
    )
    .argument('<adapter>', 'run folder or adapter file')
    .requiredOption('--out <file>', 'file to write: .pth or .safetensors')
    .option('--dtype <name>', 'f32 | bf16 | f16 | keep')
    .option('--fold', 'fold the condition of one reference photo, and both adapters of a site into one')
    .option('--keep-adapters', 'with --fold: fold the condition only')
    .option('--reference <image>', 'photo to fold (default: the one kept with the run)')
    .option(
      '--base <folder>',
      'base with the image encoder: toybox or a folder (default: the one trained on)',
    )
    .option('--image-encoder <folder>', 'CLIP or open_clip folder, where the base has none')
    .option('--overwrite', 'replace the file')
    .action(async (adapter: string, flags: ExportFlags) => {
      const { fold, keepAdapters, base, imageEncoder, ...fields } = flags;
      const request = parseRequest(exportRequestSchema, {
        adapter,
        ...fields,
        format: formatOf(flags.out, ['pth', 'safetensors']),
        fold: fold ? (keepAdapters ? 'condition' : 'fused') : 'none',
      });
      const { path } = await runPrinted((context) =>
        exportAdapter(request, {
          ...context,
          encodeReference: (image, { recipe }) =>
            encodeReferenceImage(
              image,
              { adapter, trainedOn: recipe?.base.name, base, imageEncoder },
              context,
            ),
        }),
      );
      process.stdout.write(`${path}\n`);
    });
  program
    .command('import')
    .description(
      'turn an official adapter.pth into adapter.safetensors (its pickle is never run), or tell a LoRA its alpha',
    )
    .argument('<file>', 'adapter.pth, or a LoRA')
    .requiredOption('--out <file>', '.safetensors file to write')
    .option('--preset <name>', 'official | paper | clean')
    .option('--alpha <x>', 'of a LoRA file that does not tell it', number)
    .option('--base-name <text>', 'the base it was trained on, for people to read')
    .option('--overwrite', 'replace the file')
    .action(async (source: string, flags: { readonly out: string }) => {
      formatOf(flags.out, ['safetensors']);
      const request = parseRequest(importRequestSchema, { source, ...flags });
      process.stdout.write(`${(await runPrinted((context) => importAdapter(request, context))).path}\n`);
    });
}

/** The format that a file's ending asks for; another ending would hide what is in the file. */
function formatOf(out: string, known: readonly string[]): string {
  const format = known.find((name) => out.endsWith(`.${name}`));
  if (format !== undefined) return format;
  throw new RequestError({
    where: 'option --out',
    expected: `a file name that ends in ${known.map((name) => `.${name}`).join(' or ')}`,
    got: out,
  });
}
