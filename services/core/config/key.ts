/** The keys that a configuration is made of: each says what it takes, where it may come from and how it is shown. */

export interface Key<T> {
  /** Environment variable; it wins over the file. */
  readonly env: string
  /** undefined: it must be set. */
  readonly fallback: T | undefined
  /** `ms`, `bytes`, `rows` ...; '' where it has none. */
  readonly unit: string
  /** Never shown; may also be given as a file that holds it: `<env>_FILE`, in a configuration file `<key>File`. */
  readonly secret: boolean
  /** One line. */
  readonly help: string
  /** For messages: `a whole number from 1 to 65535`. */
  readonly takes: string
  /** Of a value in a file, or of a variable's text; undefined where it is none. */
  read(value: unknown): T | undefined
  /** As `--print` shows it. */
  show(value: T): unknown
}

/** Sections of keys. */
export type ConfigSpec = Readonly<Record<string, Readonly<Record<string, Key<unknown>>>>>

type ValueOf<K> = K extends Key<infer T> ? T : never

/** The values of a spec: one typed object per service. */
export type ConfigOf<S extends ConfigSpec> = {
  readonly [Section in keyof S]: { readonly [Name in keyof S[Section]]: ValueOf<S[Section][Name]> }
}

/** The values of one section. */
export type SectionOf<K extends Readonly<Record<string, Key<unknown>>>> = {
  readonly [Name in keyof K]: ValueOf<K[Name]>
}

interface Described<T> {
  readonly help: string
  readonly fallback?: T
}

function made<T>(env: string, described: Described<T>, more: Pick<Key<T>, 'takes' | 'read'> & Partial<Key<T>>): Key<T> {
  const { help, fallback } = described
  return { env, help, fallback, unit: '', secret: false, show: (value) => value, ...more }
}

const NUMERIC = /^-?\d+$/

/** `''` counts as not set. */
export function text(env: string, described: Described<string>): Key<string> {
  return made(env, described, { takes: 'a text', read: (value) => (typeof value === 'string' ? value : undefined) })
}

export function secret(env: string, described: Described<string>): Key<string> {
  return { ...text(env, described), secret: true, show: (value) => (value === '' ? '' : '***') }
}

export function wholeNumber(
  env: string,
  described: Described<number> & { readonly min: number; readonly max: number; readonly unit?: string },
): Key<number> {
  const { min, max, unit = '' } = described
  return made(env, described, {
    unit,
    takes: `a whole number from ${min} to ${max}${unit === '' ? '' : ` (${unit})`}`,
    read: (value) => {
      const number = typeof value === 'string' && NUMERIC.test(value.trim()) ? Number(value) : value
      return typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max
        ? number
        : undefined
    },
  })
}

export function flag(env: string, described: Described<boolean>): Key<boolean> {
  return made(env, described, {
    takes: '0 or 1, false or true',
    read: (value) => {
      if (typeof value === 'boolean') return value
      if (['1', 'true'].includes(String(value))) return true
      return ['0', 'false'].includes(String(value)) ? false : undefined
    },
  })
}

/** Letters in any case. */
export function choice<T extends string>(env: string, described: Described<T>, allowed: readonly T[]): Key<T> {
  return made(env, described, {
    takes: allowed.filter((word) => word !== '').join(', '),
    read: (value) =>
      typeof value === 'string' ? allowed.find((word) => word === value.trim().toLowerCase()) : undefined,
  })
}

/** In a variable: with commas between. `takes` says what one item is. */
export function list(
  env: string,
  described: Described<readonly string[]> & { readonly item: RegExp; readonly takes: string },
): Key<readonly string[]> {
  const { item, takes } = described
  return made(env, described, {
    takes,
    read: (value) => {
      const items = typeof value === 'string' ? value.split(',').map((word) => word.trim()) : value
      if (!Array.isArray(items)) return undefined
      const words = items.filter((word) => word !== '')
      return words.every((word) => typeof word === 'string' && item.test(word)) ? (words as string[]) : undefined
    },
  })
}

/** An address that may hold a user and a password: only the user is shown. */
export function url(env: string, described: Described<string> & { readonly schemes: readonly string[] }): Key<string> {
  const { schemes } = described
  return made(env, described, {
    takes: `${schemes.map((scheme) => `${scheme}://user:password@host:port`).join(' or ')}`,
    read: (value) => {
      if (typeof value !== 'string' || !URL.canParse(value)) return undefined
      return schemes.includes(new URL(value).protocol.slice(0, -1)) ? value : undefined
    },
    show: (value) => {
      if (!URL.canParse(value)) return value
      const shown = new URL(value)
      if (shown.password !== '') shown.password = '***'
      return shown.href
    },
  })
}
