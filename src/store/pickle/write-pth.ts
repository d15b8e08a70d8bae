import { writeFileAtomic } from '../../tensor/atomic-file.ts';
import { bytesOf } from '../../tensor/dtype.ts';
import { FileFormatError, ShapeError } from '../../tensor/errors.ts';
import type { HostTensor } from '../../tensor/host-tensor.ts';
import { sizeOf } from '../../tensor/shape.ts';
import { encodeParameterDict } from './pickle-writer.ts';
import { encodeZip } from './zip-writer.ts';

const FOLDER = 'archive';
const FORMAT_VERSION = '3\n';

/**
 * Writes a .pth file, whole or not at all, that torch.load reads as a dict name → torch.nn.Parameter on the
 * CPU: the form of the official release's adapter.pth. Equal tensors give equal files. Up to 4 GiB.
 */
export async function writePth(path: string, tensors: ReadonlyMap<string, HostTensor>): Promise<void> {
  const list = [...tensors];
  for (const [name, { shape, data }] of list) {
    if (/\p{Surrogate}/u.test(name)) {
      throw new FileFormatError({
        where: path,
        expected: 'names in valid Unicode',
        got: JSON.stringify(name),
      });
    }
    if (data.length === sizeOf(shape)) continue;
    throw new ShapeError({
      where: `tensor ${name}`,
      expected: `${sizeOf(shape)} elements for its shape`,
      got: `${data.length}`,
    });
  }
  const text = new TextEncoder();
  const pickle = encodeParameterDict(
    list.map(([name, { dtype, shape }], index) => ({ name, key: `${index}`, dtype, shape })),
  );
  const contents = [
    { name: `${FOLDER}/data.pkl`, bytes: pickle },
    { name: `${FOLDER}/byteorder`, bytes: text.encode('little') },
    ...list.map(([, { data }], index) => ({ name: `${FOLDER}/data/${index}`, bytes: bytesOf(data) })),
    { name: `${FOLDER}/version`, bytes: text.encode(FORMAT_VERSION) },
  ];
  await writeFileAtomic(path, encodeZip(contents, path));
}
