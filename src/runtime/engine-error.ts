import { DualrealError } from '../tensor/errors.ts';

/** The engine could not start, build a session or run it. */
export class EngineError extends DualrealError {}

const BACKEND_HINTS: Readonly<Record<string, string>> = {
  cuda:
    'CUDA needs Linux x64 or Windows, an NVIDIA driver with CUDA 12 and cuDNN 9, and the extra files that ' +
    'onnxruntime-node does not install by default: run ' +
    '"ONNXRUNTIME_NODE_INSTALL=true node node_modules/onnxruntime-node/script/install" once, or use --device cpu.',
  webgpu:
    'WebGPU needs a graphics adapter that Vulkan (Linux), Metal (macOS) or Direct3D 12 (Windows) can see. ' +
    'For a slow software adapter on Linux point VK_ICD_FILENAMES and VK_DRIVER_FILES at the ' +
    'vk_swiftshader_icd.json that comes with Chromium. Or use --device cpu.',
};

/** onnxruntime could not be loaded at all. */
export function missingEngineError(cause: unknown): EngineError {
  const { platform, arch } = process;
  const isKnown = (PLATFORMS[platform] ?? []).includes(arch);
  return new EngineError({
    where: 'onnxruntime',
    expected: 'its library for this machine',
    got: cause instanceof Error ? cause.message.split('\n')[0] : String(cause),
    hint: isKnown
      ? 'run "npm ci" again: files of onnxruntime-node may be missing'
      : `onnxruntime has no build for ${platform} ${arch}; macOS needs Apple silicon, Linux and Windows x64 or arm64`,
    cause,
  });
}

const PLATFORMS: Readonly<Record<string, readonly string[]>> = {
  darwin: ['arm64'],
  linux: ['x64', 'arm64'],
  win32: ['x64', 'arm64'],
};

/** The place in onnxruntime's source and the condition in front of what a message says. */
const SOURCE_PLACE = /^\/onnxruntime_src\/.* was false\. /;

/** Wraps what onnxruntime throws; where a session cannot be opened, with the hint that fits the backend. */
export function engineError(what: 'opening' | 'running', backend: string, cause: unknown): EngineError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const hint = what === 'opening' ? BACKEND_HINTS[backend] : undefined;
  return new EngineError({
    where: `${what} a session`,
    expected: `the ${backend} backend to accept it`,
    got: message.split('\n')[0].replace(SOURCE_PLACE, ''),
    ...(hint && { hint }),
    cause,
  });
}
