import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Addon } from '../../native/index.js'
import { KlartextError } from '../core/errors.js'
import { REPO_ROOT } from '../core/repo_root.js'

export const ADDON_PATH: string = join(REPO_ROOT, 'native/build/klartext.node')
export const BPF_OBJECT_PATH: string = join(REPO_ROOT, 'bpf/build/capture.bpf.o')

let loaded: Addon | null = null

/** Throws KlartextError where it was not built or does not fit this system. */
export function loadAddon(): Addon {
  if (loaded !== null) return loaded
  if (!existsSync(ADDON_PATH))
    throw new KlartextError('ADDON_MISSING', 'the native addon is not built: run npm run build')
  try {
    loaded = createRequire(import.meta.url)(ADDON_PATH) as Addon
  } catch (error) {
    throw new KlartextError('ADDON_UNUSABLE', `the native addon cannot be loaded: ${(error as Error).message}`)
  }
  return loaded
}
