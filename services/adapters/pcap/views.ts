/** Payloads as views of the block they lie in. */

type BufferView = new (memory: ArrayBufferLike, offset: number, length: number) => Buffer

/** The class of all buffers, which `Buffer` itself only stands for. */
const View = (Buffer as unknown as { [Symbol.species]: BufferView })[Symbol.species]

/** Does what `subarray` does, in half the time for many views of one block. */
export class Views {
  #block: Buffer | null = null
  #memory: ArrayBufferLike | null = null
  #offset = 0

  of(block: Buffer, from: number, to: number): Buffer {
    if (block !== this.#block || this.#memory === null) {
      this.#block = block
      this.#memory = block.buffer
      this.#offset = block.byteOffset
    }
    return new View(this.#memory, this.#offset + from, to - from)
  }
}
