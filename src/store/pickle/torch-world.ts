import { DTYPE_SIZE_BYTES, type DType } from '../../tensor/dtype.ts';
import { FileFormatError } from '../../tensor/errors.ts';
import { emptyDict, type PickleWorld } from './machine.ts';
import {
  describeValue,
  isKind,
  naturalOf,
  type PickleGlobal,
  type PickleStorage,
  type PickleTensor,
  type PickleValue,
} from './value.ts';

/** torch's storage classes, by the name that a pickle gives them. */
export const STORAGE_DTYPES: Readonly<Record<string, DType>> = {
  'torch.DoubleStorage': 'f64',
  'torch.FloatStorage': 'f32',
  'torch.HalfStorage': 'f16',
  'torch.BFloat16Storage': 'bf16',
  'torch.LongStorage': 'i64',
  'torch.IntStorage': 'i32',
  'torch.ShortStorage': 'i16',
  'torch.CharStorage': 'i8',
  'torch.ByteStorage': 'u8',
  'torch.BoolStorage': 'bool',
};

type Rebuild = (args: readonly PickleValue[], where: string) => PickleValue;

/** The callables a tensor file needs, each as a rule that makes plain data of its arguments. */
const CALLS: Readonly<Record<string, Rebuild>> = {
  'collections.OrderedDict': (args, where) => {
    checkCount(args, 0, 0, 'collections.OrderedDict', where);
    return emptyDict(true);
  },
  'torch._utils._rebuild_tensor_v2': rebuildTensor,
  'torch._utils._rebuild_parameter': (args, where) => {
    checkCount(args, 3, 3, '_rebuild_parameter', where);
    const [tensor, , hooks] = args;
    if (!isKind(tensor, 'tensor')) throw wrong(where, 'a tensor as parameter', tensor);
    checkNoHooks(hooks, where);
    return tensor;
  },
  'torch.Size': (args, where) => {
    checkCount(args, 1, 1, 'torch.Size', where);
    return { kind: 'tuple', items: sequenceOf(args[0], 'torch.Size', where) };
  },
};

/** Allows what torch.save writes for dicts of tensors; storages that the pickle names go to `onStorage`. */
export function torchWorld(onStorage: (storage: PickleStorage, where: string) => void): PickleWorld {
  const storages = new Map<string, PickleStorage>();
  return {
    global: allowedGlobal,
    reduce: (callee, args, where) => {
      if (!Object.hasOwn(CALLS, callee.name)) throw wrong(where, 'a callable name', callee);
      return CALLS[callee.name](args, where);
    },
    persistent: (id, where) => {
      const storage = storageOf(id, where);
      const known = storages.get(storage.key);
      if (known) {
        if (known.dtype === storage.dtype && known.length === storage.length) return known;
        throw new FileFormatError({
          where: `${where}: storage ${storage.key}`,
          expected: `${known.length} ${known.dtype}, as before`,
          got: `${storage.length} ${storage.dtype}`,
        });
      }
      onStorage(storage, where);
      storages.set(storage.key, storage);
      return storage;
    },
  };
}

function allowedGlobal(module: string, name: string, where: string): PickleGlobal {
  const full = `${module}.${name}`;
  if (!Object.hasOwn(CALLS, full) && !Object.hasOwn(STORAGE_DTYPES, full)) {
    throw new FileFormatError({
      where,
      expected: 'only the names that a dict of tensors needs',
      got: `the name ${JSON.stringify(full)}`,
      hint:
        'a name can stand for code that Python runs when it loads the file; nothing was run here. ' +
        'Ask the source for a safetensors file',
    });
  }
  return { kind: 'global', name: full };
}

/** ('storage', torch.FloatStorage, key, location, length); the pre-1.6 format adds a view, which must be None. */
function storageOf(id: PickleValue, where: string): PickleStorage {
  const items = isKind(id, 'tuple') ? id.items : [];
  const [tag, type, key, location, length, view] = items;
  const fits = items.length === 5 || (items.length === 6 && view === null);
  if (!fits || tag !== 'storage' || !isKind(type, 'global') || typeof location !== 'string') {
    throw wrong(where, "a persistent id ('storage', type, key, location, length)", id);
  }
  const dtype = Object.hasOwn(STORAGE_DTYPES, type.name) ? STORAGE_DTYPES[type.name] : undefined;
  if (!dtype) throw wrong(where, 'a torch storage type', type);
  if (typeof key !== 'string') throw wrong(where, 'a storage key that is a string', key);
  return { kind: 'storage', dtype, key, length: naturalOf(length, 'storage length', where) };
}

/** torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks[, metadata]). */
function rebuildTensor(args: readonly PickleValue[], where: string): PickleTensor {
  checkCount(args, 6, 7, '_rebuild_tensor_v2', where);
  const [storage, offset, size, stride, , hooks, metadata = null] = args;
  if (!isKind(storage, 'storage')) throw wrong(where, 'a storage', storage);
  checkNoHooks(hooks, where);
  // Metadata marks a tensor as lazily negated or conjugated: its storage alone is not its value.
  if (metadata !== null && !(isKind(metadata, 'dict') && metadata.items.size === 0)) {
    throw wrong(where, 'no tensor metadata', metadata);
  }
  const tensor: PickleTensor = {
    kind: 'tensor',
    storage,
    offset: naturalOf(offset, 'storage offset', where),
    shape: sequenceOf(size, 'size', where).map((extent) => naturalOf(extent, 'size', where)),
    strides: sequenceOf(stride, 'stride', where).map((step) => naturalOf(step, 'stride', where)),
  };
  checkBounds(tensor, where);
  return tensor;
}

function checkBounds({ storage, offset, shape, strides }: PickleTensor, where: string): void {
  if (shape.length !== strides.length) {
    throw new FileFormatError({
      where,
      expected: `${shape.length} strides, one per axis`,
      got: `${strides.length}`,
    });
  }
  let elements = 1;
  let last = offset;
  for (const [axis, extent] of shape.entries()) {
    elements *= extent;
    last += (extent - 1) * strides[axis];
  }
  const highest = elements === 0 ? offset - 1 : last;
  if (!Number.isSafeInteger(elements * DTYPE_SIZE_BYTES[storage.dtype]) || !(highest < storage.length)) {
    throw new FileFormatError({
      where: `${where}: storage ${JSON.stringify(storage.key)}`,
      expected: `a tensor inside its ${storage.length} elements`,
      got: `[${shape}] with strides [${strides}] from ${offset}`,
    });
  }
}

function sequenceOf(value: PickleValue | undefined, what: string, where: string): readonly PickleValue[] {
  if (isKind(value, 'tuple')) return value.items;
  if (Array.isArray(value)) return value;
  throw wrong(where, `a tuple as ${what}`, value);
}

function checkNoHooks(value: PickleValue | undefined, where: string): void {
  if (value === null || (isKind(value, 'dict') && value.items.size === 0)) return;
  throw wrong(where, 'a tensor without hooks', value);
}

function checkCount(
  args: readonly PickleValue[],
  least: number,
  most: number,
  name: string,
  where: string,
): void {
  if (args.length >= least && args.length <= most) return;
  throw new FileFormatError({
    where: `${where}: ${name}`,
    expected: least === most ? `${least} arguments` : `${least} to ${most} arguments`,
    got: `${args.length}`,
  });
}

function wrong(where: string, expected: string, got: PickleValue | undefined): FileFormatError {
  return new FileFormatError({ where, expected, got: describeValue(got) });
}
