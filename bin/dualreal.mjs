#!/usr/bin/env node
import { existsSync } from 'node:fs';

const main = new URL('../dist/cli/main.js', import.meta.url);
if (!existsSync(main)) {
  // Only a checkout lacks dist/: the published package carries it.
  console.error('dualreal: dist/ is missing, building it first (npm run build) …');
  const { build } = await import('../scripts/build.mjs');
  await build();
}
await import(main.href);
