/**
 * The part of the WebAssembly interface used here. It is a global of Node and of browsers, but its types come
 * only with the browser's type library, which the Node side of this project does not load.
 */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

interface WebAssemblyInterface {
  readonly Memory: new (size: { initial: number; maximum: number }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (
    module: object,
    imports: Record<string, Record<string, object>>,
  ) => { readonly exports: Record<string, unknown> };
}

export const { Memory, Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyInterface })
  .WebAssembly;

export const WASM_PAGE_BYTES = 65536;

/** wasm32 addresses end here: 4 GiB. */
export const WASM_MEMORY_LIMIT_BYTES = 65536 * WASM_PAGE_BYTES;
