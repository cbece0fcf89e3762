import type { Command } from '../command.js'

/** By name, in the order of `klartext --help`. Each is loaded when it is called: what another command needs costs it nothing. */
export const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  demo: async () => (await import('./demo.js')).demo,
  up: async () => (await import('./up.js')).up,
  read: async () => (await import('./read.js')).read,
  ask: async () => (await import('./ask.js')).ask,
  sql: async () => (await import('./sql.js')).sql,
  tail: async () => (await import('./tail.js')).tail,
  top: async () => (await import('./top.js')).top,
  doctor: async () => (await import('./doctor.js')).doctor,
  record: async () => (await import('./record.js')).record,
  replay: async () => (await import('./replay.js')).replay,
  diff: async () => (await import('./diff.js')).diff,
  export: async () => (await import('./export.js')).exportCommand,
  convert: async () => (await import('./convert.js')).convert,
  topics: async () => (await import('./topics.js')).topics,
  migrate: async () => (await import('./migrate.js')).migrate,
  capture: async () => (await import('./capture.js')).capture,
  decode: async () => (await import('./decode.js')).decode,
  sink: async () => (await import('./sink.js')).sink,
  detect: async () => (await import('./detect.js')).detect,
  directory: async () => (await import('./directory.js')).directory,
  'replay-worker': async () => (await import('./replay_worker.js')).replayWorker,
  registry: async () => (await import('./registry.js')).registry,
}
