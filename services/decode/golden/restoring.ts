/** A protocol whose decoder lives for one call only: before each it is made again from its saved state. */
import type { Decoder, Protocol } from '../../core/protocol.js'
import { StateReader, StateWriter } from '../../core/state.js'

/** `now` says whether to do so before the next call; always, unless told otherwise. */
export function restoring(protocol: Protocol, now: () => boolean = () => true): Protocol {
  return {
    ...protocol,
    open(out, begin) {
      let decoder = protocol.open(out, begin)
      const again = (): Decoder => {
        if (!now()) return decoder
        const state = save(decoder)
        const next = protocol.open(out, begin)
        if (!next.restore(new StateReader(state))) throw new Error(`${protocol.name}: its own state is not read back`)
        if (!save(next).equals(state)) throw new Error(`${protocol.name}: state read back is saved otherwise`)
        decoder = next
        return next
      }
      return {
        parse: (direction, input) => again().parse(direction, input),
        resync: (direction, input) => again().resync(direction, input),
        gap: (direction, sizeBytes, timeUs) => again().gap(direction, sizeBytes, timeUs),
        end: (direction, timeUs) => again().end(direction, timeUs),
        close: (reason, timeUs) => again().close(reason, timeUs),
        handover: () => again().handover?.() ?? null,
        save: (state) => decoder.save(state),
        restore: (state) => decoder.restore(state),
      }
    },
  }
}

function save(decoder: Decoder): Buffer {
  const state = new StateWriter()
  decoder.save(state)
  return state.finish()
}
