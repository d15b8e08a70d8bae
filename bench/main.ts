/** `npm run --silent bench -- <name> [--json] [options]`: runs one of the benches below. */
import process from 'node:process';

/** Each bench is a module whose import runs it; it reads its options from process.argv. */
const benches: Readonly<Record<string, { summary: string; run: () => Promise<unknown> }>> = {
  engine: {
    summary: 'inference, adapter step and full step against PyTorch: time and memory',
    run: () => import('./engine.ts'),
  },
  adamw: { summary: 'the optimizer kernel over 12.6 M parameters', run: () => import('./adamw.ts') },
  evaluate: { summary: 'every metric of a clip, in-domain encoders', run: () => import('./evaluate.ts') },
  'motion-fidelity': {
    summary: 'whether motion fidelity tells held-out motions apart',
    run: () => import('./motion-fidelity.ts'),
  },
  'toybox-universe': {
    summary: 'rendering of the synthetic universe',
    run: () => import('./toybox-universe.ts'),
  },
};

const name = process.argv[2] ?? '';
const bench = Object.hasOwn(benches, name) ? benches[name] : undefined;
if (bench) await bench.run();
else {
  const lines = Object.entries(benches).map(([key, { summary }]) => `  ${key.padEnd(16)} ${summary}`);
  console.error(`usage: npm run --silent bench -- <name> [--json]\n${lines.join('\n')}`);
  process.exitCode = 2;
}
