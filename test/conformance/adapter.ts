import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Where Chromium's packages put SwiftShader, a Vulkan adapter in software. */
const SWIFTSHADER = [
  '/usr/lib/chromium/vk_swiftshader_icd.json',
  '/usr/lib/chromium-browser/vk_swiftshader_icd.json',
  '/opt/google/chrome/vk_swiftshader_icd.json',
];

export type Environment = Readonly<Record<string, string>>;

/** What makes Vulkan's loader see one driver only, under its new and its old name. */
export function driverEnvironment(driver: string): Environment {
  return { VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver };
}

/** What the WebGPU backend says in a process with this environment. */
export async function probeAdapter(environment: Environment): Promise<string> {
  const program = fileURLToPath(new URL('./probe.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', program], {
    env: { ...process.env, ...environment },
    timeout: 60_000,
  });
  return stdout.trim();
}

export interface Adapter {
  readonly name: string;
  readonly environment: Environment;
}

/**
 * The adapter to test with: one that the environment names, SwiftShader, or what the system offers. Undefined
 * where none of them computes.
 */
export async function findAdapter(): Promise<Adapter | undefined> {
  const named = process.env.VK_DRIVER_FILES ?? process.env.VK_ICD_FILENAMES;
  const candidates: Adapter[] = [
    ...(named ? [{ name: named, environment: {} }] : []),
    ...SWIFTSHADER.filter(existsSync).map((file) => ({
      name: 'SwiftShader',
      environment: driverEnvironment(file),
    })),
    { name: 'the system', environment: {} },
  ];
  for (const candidate of candidates) {
    const said = await probeAdapter(candidate.environment).catch(String);
    if (said === 'computed 42') return candidate;
  }
  return undefined;
}
