import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { DualrealError } from '../tensor/errors.ts';
import { quoteBriefly } from '../tensor/strict-json.ts';
import {
  findWeightFiles,
  IncompleteFolderError,
  isFile,
  isFolder,
  readJsonObject,
} from './component-files.ts';

export type ComponentName = 'transformer' | 'vae' | 'text_encoder' | 'tokenizer' | 'scheduler';

/** One part of a pipeline, with its parsed configuration. */
export interface ComponentFolder {
  readonly name: ComponentName;
  readonly folder: string;
  /** As model_index.json names it. */
  readonly className: string;
  /** Empty where a tokenizer has no configuration of its own. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** A text-to-video base in the diffusers layout. */
export interface PipelineFolder {
  /** Real path. */
  readonly folder: string;
  readonly className: string;
  readonly components: Readonly<Record<ComponentName, ComponentFolder>>;
}

interface ComponentRule {
  readonly classNames: readonly string[];
  readonly configFile: string;
  /** The class as the component's own configuration names it. */
  classOf(config: ReadonlyMap<string, unknown>): unknown;
  /** Whether the configuration, or the class in it, may be absent. */
  readonly isConfigOptional?: boolean;
  readonly hasWeights?: boolean;
  /** Files of which at least one must be there. */
  readonly oneOf?: readonly string[];
}

const diffusersClass = (config: ReadonlyMap<string, unknown>): unknown => config.get('_class_name');

/** CogVideoX in diffusers 0.32 (CogVideoXPipeline and the classes of its parts). */
const PIPELINE_CLASS = 'CogVideoXPipeline';
const RULES: Readonly<Record<ComponentName, ComponentRule>> = {
  transformer: {
    classNames: ['CogVideoXTransformer3DModel'],
    configFile: 'config.json',
    classOf: diffusersClass,
    hasWeights: true,
  },
  vae: {
    classNames: ['AutoencoderKLCogVideoX'],
    configFile: 'config.json',
    classOf: diffusersClass,
    hasWeights: true,
  },
  text_encoder: {
    classNames: ['T5EncoderModel'],
    configFile: 'config.json',
    classOf: (config) => {
      const names = config.get('architectures');
      return Array.isArray(names) ? names[0] : names;
    },
    hasWeights: true,
  },
  tokenizer: {
    classNames: ['T5Tokenizer', 'T5TokenizerFast'],
    configFile: 'tokenizer_config.json',
    classOf: (config) => config.get('tokenizer_class'),
    isConfigOptional: true,
    oneOf: ['tokenizer.json', 'spiece.model'],
  },
  scheduler: {
    classNames: ['CogVideoXDDIMScheduler', 'CogVideoXDPMScheduler'],
    configFile: 'scheduler_config.json',
    classOf: diffusersClass,
  },
};

/**
 * Opens a CogVideoX base: reads model_index.json and each component's configuration, and looks for its
 * weights without opening them. Everything missing or of another class is listed in one error.
 */
export async function openPipelineFolder(path: string): Promise<PipelineFolder> {
  const indexPath = join(path, 'model_index.json');
  if (!(await isFile(indexPath))) {
    throw new IncompleteFolderError({
      where: path,
      expected: 'a model folder in the diffusers layout, with model_index.json',
      got: (await isFolder(path)) ? 'a folder without it' : 'no folder',
    });
  }
  const folder = await realpath(path);
  const index = await readJsonObject(indexPath);
  const problems: string[] = [];
  if (index.get('_class_name') !== PIPELINE_CLASS) {
    problems.push(
      `model_index.json: _class_name is ${quoteBriefly(index.get('_class_name'))}, not ${PIPELINE_CLASS}`,
    );
  }
  const components: Partial<Record<ComponentName, ComponentFolder>> = {};
  for (const name of Object.keys(RULES) as ComponentName[]) {
    const component = await openComponent(folder, name, index.get(name), problems);
    if (component) components[name] = component;
  }
  if (problems.length > 0) {
    throw new IncompleteFolderError({
      where: path,
      expected: 'a complete CogVideoX base',
      got: problems.map((problem) => `\n  - ${problem}`).join(''),
    });
  }
  return {
    folder,
    className: PIPELINE_CLASS,
    components: components as Record<ComponentName, ComponentFolder>,
  };
}

/** Reads one component; what is wrong with it is added to `problems`. */
async function openComponent(
  base: string,
  name: ComponentName,
  listed: unknown,
  problems: string[],
): Promise<ComponentFolder | undefined> {
  const rule = RULES[name];
  const allowed = rule.classNames.join(' or ');
  // model_index.json lists [library, class].
  const className: unknown = Array.isArray(listed) ? listed[1] : undefined;
  if (typeof className !== 'string') problems.push(`model_index.json: no component ${name} (${allowed})`);
  else if (!rule.classNames.includes(className)) {
    problems.push(`model_index.json: ${name} is ${quoteBriefly(className)}, not ${allowed}`);
  }
  const folder = join(base, name);
  if (!(await isFolder(folder))) {
    problems.push(`${name}: no such folder`);
    return undefined;
  }
  const config = await readConfig(folder, name, rule, problems);
  if (rule.hasWeights) await checkWeights(folder, name, problems);
  const files = rule.oneOf ?? [];
  const present = await Promise.all(files.map((file) => isFile(join(folder, file))));
  if (files.length > 0 && !present.includes(true)) problems.push(`${name}: no ${files.join(' or ')}`);
  if (!config || typeof className !== 'string') return undefined;
  return { name, folder, className, config: Object.fromEntries(config) };
}

async function readConfig(
  folder: string,
  name: ComponentName,
  rule: ComponentRule,
  problems: string[],
): Promise<ReadonlyMap<string, unknown> | undefined> {
  const path = join(folder, rule.configFile);
  const place = `${name}/${rule.configFile}`;
  if (!(await isFile(path))) {
    if (rule.isConfigOptional) return new Map();
    problems.push(`${place}: no such file`);
    return undefined;
  }
  let config: ReadonlyMap<string, unknown>;
  try {
    config = await readJsonObject(path);
  } catch (error) {
    if (!(error instanceof DualrealError)) throw error;
    problems.push(error.message);
    return undefined;
  }
  const className = rule.classOf(config);
  const isAbsent = className === undefined && rule.isConfigOptional;
  if (!isAbsent && !rule.classNames.includes(String(className))) {
    problems.push(`${place}: the class is ${quoteBriefly(className)}, not ${rule.classNames.join(' or ')}`);
  }
  return config;
}

async function checkWeights(folder: string, name: string, problems: string[]): Promise<void> {
  try {
    if (!(await findWeightFiles(folder))) problems.push(`${name}: no weights`);
  } catch (error) {
    if (!(error instanceof DualrealError)) throw error;
    problems.push(error.message);
  }
}
