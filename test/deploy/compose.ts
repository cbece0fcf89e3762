/** What of the Compose Specification docker-compose.yml uses, checked without Docker. Answers what is wrong, one line each. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'

export interface ComposeService {
  readonly image?: string
  readonly build?: { readonly context: string; readonly dockerfile: string }
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck?: Readonly<Record<string, unknown>>
  readonly [key: string]: unknown
}

export interface ComposeFile {
  readonly name?: string
  readonly services: Readonly<Record<string, ComposeService>>
  readonly volumes?: Readonly<Record<string, unknown>>
}

const TOP_KEYS = new Set(['name', 'services', 'volumes', 'networks', 'configs', 'secrets'])
const SERVICE_KEYS = new Set(
  `image build command entrypoint environment ports volumes depends_on healthcheck restart privileged pid network_mode
  cgroup user cap_add security_opt ulimits deploy stop_grace_period hostname`.split(/\s+/),
)
const HEALTH_KEYS = new Set(['test', 'interval', 'timeout', 'retries', 'start_period', 'start_interval', 'disable'])
const RESTARTS = new Set(['no', 'always', 'on-failure', 'unless-stopped'])
const CONDITIONS = new Set(['service_started', 'service_healthy', 'service_completed_successfully'])

export function composeProblems(file: ComposeFile, folder: string): string[] {
  const problems: string[] = []
  for (const key of Object.keys(file)) {
    if (!TOP_KEYS.has(key) && !key.startsWith('x-')) problems.push(`unknown key ${key}`)
  }
  for (const [name, service] of Object.entries(file.services)) {
    for (const problem of serviceProblems(file, service, folder)) problems.push(`${name}: ${problem}`)
  }
  return problems
}

function* serviceProblems(file: ComposeFile, service: ComposeService, folder: string): Generator<string> {
  for (const key of Object.keys(service)) if (!SERVICE_KEYS.has(key)) yield `unknown key ${key}`
  const { image, build, environment = {}, ports = [], volumes = [], depends_on = {}, healthcheck } = service
  if (image === undefined && build === undefined) yield 'neither image nor build'
  if (image !== undefined && !/^[a-z0-9./-]+:[\w.-]+$/.test(image)) yield `image ${image} has no fixed version`
  if (/:latest$/.test(image ?? '')) yield 'image latest is another one tomorrow'
  if (build !== undefined && !existsSync(join(folder, build.context, build.dockerfile))) yield `no ${build.dockerfile}`
  if (typeof service.restart === 'string' && !RESTARTS.has(service.restart)) yield `restart ${service.restart}`
  for (const [key, value] of Object.entries(environment)) {
    // A bare number or truth in YAML would be refused, or changed on its way.
    if (typeof value !== 'string') yield `environment ${key} is no text`
    else yield* interpolationProblems(`environment ${key}`, value)
  }
  for (const port of ports) {
    if (!/^127\.0\.0\.1:\d+:\d+$/.test(port)) yield `port ${port} is open to others`
  }
  for (const volume of volumes) yield* volumeProblems(file, volume, folder)
  for (const [other, { condition }] of Object.entries(depends_on)) {
    const on = file.services[other]
    if (on === undefined) yield `depends on ${other}, which is not there`
    if (!CONDITIONS.has(condition)) yield `condition ${condition}`
    if (condition === 'service_healthy' && on?.healthcheck === undefined) yield `${other} has no healthcheck`
  }
  for (const key of Object.keys(healthcheck ?? {})) if (!HEALTH_KEYS.has(key)) yield `unknown key healthcheck.${key}`
  if (service.network_mode === 'host' && ports.length > 0) yield 'ports mean nothing in the network of the host'
}

/** Each variable has a default: `docker compose up` needs no .env. */
function* interpolationProblems(where: string, value: string): Generator<string> {
  for (const [all] of value.matchAll(/\$\{?[A-Z_]+[^}]*\}?/g)) {
    if (!/^\$\{[A-Z_]+:-[^}]*\}$/.test(all)) yield `${where}: ${all} has no default`
  }
}

function* volumeProblems(file: ComposeFile, volume: string, folder: string): Generator<string> {
  const [source, target] = volume.split(':')
  if (target === undefined || !target.startsWith('/')) yield `volume ${volume} has no place`
  else if (source.startsWith('.')) {
    if (!existsSync(join(folder, source))) yield `volume ${source} is not there`
  } else if (!source.startsWith('/') && !Object.hasOwn(file.volumes ?? {}, source))
    yield `volume ${source} is not declared`
}
