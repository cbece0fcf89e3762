/** avsc with 64-bit numbers: by itself it refuses what a JavaScript number cannot hold exactly, such as times in ns. */
import avro from 'avsc'

const long = avro.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const buffer = Buffer.alloc(8)
    buffer.writeBigInt64LE(value)
    return buffer
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0),
})

/** `long` is bigint in what the type reads and writes. */
export function typeWithBigInt(schema: avro.Schema): avro.Type {
  return avro.Type.forSchema(schema, { registry: { long } })
}
