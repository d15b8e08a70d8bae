import * as ort from 'onnxruntime-node';
import type { Backend } from '../graph/onnx-emitter.ts';
import type { DType } from '../tensor/dtype.ts';
import type { HostTensor } from '../tensor/host-tensor.ts';
import { ELEMENT_TYPES } from './element-types.ts';
import { EngineError, engineError } from './engine-error.ts';

export interface SessionSettings {
  readonly backend: Backend;
  /** Compute threads of the session. */
  readonly threads: number;
  /** Folder that the external weights' locations are relative to. */
  readonly externalRoot: string;
  /**
   * 'fold': weights may be copied and prepacked for speed. 'mapped': they stay in their file's memory
   * map and casts run at every use, for models that would not fit otherwise.
   */
  readonly weights: 'fold' | 'mapped';
  /** Outputs that stay in the device's memory, to be fed to a later run. */
  readonly deviceOutputs?: readonly string[];
}

const FROM_ORT = new Map(Object.entries(ELEMENT_TYPES).map(([dtype, name]) => [name, dtype as DType]));

/** `where` names the tensor in errors. */
export function toOrtTensor({ dtype, shape, data }: HostTensor, where = 'tensor'): ort.Tensor {
  const type = ELEMENT_TYPES[dtype];
  if (!type) {
    throw new EngineError({ where, expected: `one of ${Object.keys(ELEMENT_TYPES).join(', ')}`, got: dtype });
  }
  return new ort.Tensor(type, data as ort.Tensor['data'], shape);
}

export function fromOrtTensor(tensor: ort.Tensor): HostTensor {
  return {
    dtype: FROM_ORT.get(tensor.type)!,
    shape: tensor.dims,
    data: tensor.data as HostTensor['data'],
  };
}

/** What onnxruntime would print about an error is in the error that is thrown. */
const FATAL = 4;
ort.env.logLevel = 'fatal';

/** Opens an onnxruntime session with the settings that measured best (docs/performance.md). */
export async function openSession(
  model: Uint8Array,
  settings: SessionSettings,
): Promise<ort.InferenceSession> {
  const mapped = settings.weights === 'mapped';
  const session: Record<string, string> = {
    model_external_initializers_file_folder_path: settings.externalRoot,
    // Long enough to bridge the gap to the next node, short enough that on a busy machine idle compute
    // threads do not fight the working ones for cores.
    'intra_op.spin_duration_us': '20',
    ...(mapped && { disable_prepacking: '1' }),
  };
  try {
    return await ort.InferenceSession.create(model, {
      executionProviders: [settings.backend],
      graphOptimizationLevel: 'basic',
      enableMemPattern: false,
      enableCpuMemArena: true,
      executionMode: 'sequential',
      intraOpNumThreads: settings.threads,
      interOpNumThreads: 1,
      logSeverityLevel: FATAL,
      ...(settings.deviceOutputs && {
        preferredOutputLocation: Object.fromEntries(
          settings.deviceOutputs.map((output) => [output, 'gpu-buffer' as const]),
        ),
      }),
      extra: {
        session,
        ...(mapped && { optimization: { disable_specified_optimizers: 'ConstantFolding' } }),
      },
    });
  } catch (cause) {
    throw engineError('opening', settings.backend, cause);
  }
}
