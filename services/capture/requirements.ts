/** Can this host be captured, and if not, why: one line per thing that is missing. */
import { existsSync, readFileSync } from 'node:fs'
import { ADDON_PATH, BPF_OBJECT_PATH } from './addon.js'

export interface Requirement {
  readonly name: string
  readonly met: boolean
  /** What was found, or what to do. */
  readonly detail: string
}

/** Bits of /proc/self/status CapEff, from capabilities(7). */
const CAPABILITIES = { CAP_SYS_PTRACE: 19, CAP_SYS_ADMIN: 21, CAP_PERFMON: 38, CAP_BPF: 39 } as const

export function captureRequirements(): Requirement[] {
  const linux = process.platform === 'linux'
  const release = linux ? readText('/proc/sys/kernel/osrelease').trim() : process.platform
  const [major, minor] = release.split('.').map(Number)
  const kernelOk = linux && (major > 5 || (major === 5 && minor >= 17))
  const requirements: Requirement[] = [
    { name: 'kernel', met: kernelOk, detail: kernelOk ? release : `${release}; Linux 5.17 or newer is needed` },
    file('kernel types (BTF)', '/sys/kernel/btf/vmlinux', 'the kernel was built without CONFIG_DEBUG_INFO_BTF'),
    capabilities(readText('/proc/self/status')),
    file('BPF programs', BPF_OBJECT_PATH, 'not built: run npm run build'),
    file('native addon', ADDON_PATH, 'not built: run npm run build'),
  ]
  return requirements
}

/** One line saying why live capture is not possible, or null. */
export function whyNoCapture(): string | null {
  const missing = captureRequirements().filter((requirement) => !requirement.met)
  if (missing.length === 0) return null
  return missing.map((requirement) => `${requirement.name}: ${requirement.detail}`).join('; ')
}

function file(name: string, path: string, otherwise: string): Requirement {
  const met = existsSync(path)
  return { name, met, detail: met ? path : otherwise }
}

/** `status`: text of /proc/self/status. */
export function capabilities(status: string): Requirement {
  const line = /^CapEff:\s*([0-9a-f]+)/m.exec(status)
  const effective = line === null ? 0n : BigInt(`0x${line[1]}`)
  const has = (bit: number) => (effective & (1n << BigInt(bit))) !== 0n
  const loads = has(CAPABILITIES.CAP_SYS_ADMIN) || (has(CAPABILITIES.CAP_BPF) && has(CAPABILITIES.CAP_PERFMON))
  // Files and memory maps of others' processes: which libraries they use.
  const met = loads && has(CAPABILITIES.CAP_SYS_PTRACE)
  return {
    name: 'capabilities',
    met,
    detail: met
      ? 'CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE'
      : 'run as root, or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE',
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
