/** Bytes to text where it is done for every exchange. */

/** What `bytes.toString('latin1', from, to)` gives: the same call without the choice of an encoding. */
export function latin1(bytes: Buffer, from: number, to: number): string {
  return (bytes as unknown as Latin1).latin1Slice(from, to)
}

/** A method that Node's buffers have beside the documented ones, and that its types leave out. */
interface Latin1 {
  latin1Slice(from: number, to: number): string
}
