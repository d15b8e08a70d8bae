#!/usr/bin/env node
import { existsSync } from 'node:fs';

// A checkout builds what is missing or older than its sources; the published package carries dist/ alone.
const builder = new URL('../scripts/build.mjs', import.meta.url);
if (existsSync(builder)) {
  const { ensureBuilt } = await import(builder.href);
  await ensureBuilt();
}
await import(new URL('../dist/cli/main.js', import.meta.url).href);
