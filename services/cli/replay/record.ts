/** What `klartext up --record` does besides capturing. */
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SegmentRecording } from '../../adapters/archive/recording.js'

/** In the folder of the store: where klartext replay looks when it is not told. */
export const RECORDING_FILE = 'recording'
/** A few files of the smallest size. */
export const RECORD_BYTES_MIN: number = 16 << 20

/** Throws `UNWRITABLE`. */
export function startRecording(
  folder: string,
  bytesMax: number,
  dataDir: string,
  say: (line: string) => void,
): SegmentRecording {
  const onError = (error: unknown) => say(`not recording: ${(error as Error).message}`)
  const recording = new SegmentRecording(folder, { bytesMax, nowMs: Date.now, onError })
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  writeFileSync(join(dataDir, RECORDING_FILE), realpathSync(folder), { mode: 0o600 })
  return recording
}
