// Runs the WebAssembly build of ffmpeg once, as a program: node wasm-ffmpeg.mjs CORE.js CORE.wasm ARGUMENTS…
// Plain JavaScript, because the parent starts it as a process of its own: it can be killed at any moment and
// the parent's event loop stays free. Of the arguments, `file:PATH` (an input after -i, an output elsewhere)
// and `pipe:N` are connected to the real file or descriptor; ffmpeg sees nothing else of this machine.
import { closeSync, fstatSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname } from 'node:path';

const [corePath, wasmPath, ...hostArguments] = process.argv.slice(2);

// The build believes that it is in a browser's worker.
globalThis.self = globalThis;
globalThis.location = { href: 'file:///' };

const createCore = createRequire(import.meta.url)(corePath);
const core = await createCore({ wasmBinary: readFileSync(wasmPath) });
const { FS } = core;

const IO_ERROR = 29;
const ILLEGAL_SEEK = 70;
const DEVICE_MAJOR = 77;

const ioError = () => new FS.ErrnoError(IO_ERROR);

/** A pipe that is not ready says EAGAIN; waiting here is right, this process has nothing else to do. */
function retrying(operation) {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    try {
      return operation();
    } catch (error) {
      if (error.code === 'EOF') return 0;
      if (error.code !== 'EAGAIN') throw ioError();
      Atomics.wait(sleeper, 0, 0, 2);
    }
  }
}

function writeAll(descriptor, buffer, offset, length, position) {
  let done = 0;
  while (done < length) {
    const at = position === null ? null : position + done;
    done += retrying(() => writeSync(descriptor, buffer, offset + done, length - done, at));
  }
  return length;
}

/** `path` inside ffmpeg's file system reads and writes a file of this machine, with seeking. */
function connectFile(path, descriptor, sizeBytes) {
  FS.close(FS.open(path, 'w+'));
  const file = FS.lookupPath(path).node;
  file.usedBytes = sizeBytes;
  file.stream_ops = {
    ...file.stream_ops,
    read: (_stream, buffer, offset, length, position) =>
      retrying(() => readSync(descriptor, buffer, offset, length, position)),
    write(_stream, buffer, offset, length, position) {
      writeAll(descriptor, buffer, offset, length, position);
      file.usedBytes = Math.max(file.usedBytes, position + length);
      return length;
    },
  };
}

/** `path` inside ffmpeg's file system is a pipe of this process. */
function connectPipe(path, descriptor) {
  const device = FS.makedev(DEVICE_MAJOR, descriptor);
  FS.registerDevice(device, {
    open: () => {},
    close: () => {},
    llseek() {
      throw new FS.ErrnoError(ILLEGAL_SEEK);
    },
    read: (_stream, buffer, offset, length) =>
      retrying(() => readSync(descriptor, buffer, offset, length, null)),
    write: (_stream, buffer, offset, length) => writeAll(descriptor, buffer, offset, length, null),
  });
  FS.mkdev(path, 0o666, device);
}

const opened = [];

function translate(argument, index) {
  const pipe = /^pipe:(\d+)$/.exec(argument);
  if (pipe) {
    const path = `/pipe-${index}`;
    connectPipe(path, Number(pipe[1]));
    return path;
  }
  if (!argument.startsWith('file:')) return argument;
  const isInput = hostArguments[index - 1] === '-i';
  const hostPath = argument.slice('file:'.length);
  const descriptor = openSync(hostPath, isInput ? 'r' : 'w+');
  opened.push(descriptor);
  const path = `/file-${index}${extname(hostPath)}`;
  connectFile(path, descriptor, isInput ? fstatSync(descriptor).size : 0);
  return path;
}

core.setLogger(({ message }) => {
  if (message !== 'Aborted()') process.stderr.write(`${message}\n`);
});
const status = core.exec(...hostArguments.map(translate));
for (const descriptor of opened) closeSync(descriptor);
core.reset();
process.exitCode = status === 0 ? 0 : 1;
