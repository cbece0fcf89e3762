/**
 * Metrics in Prometheus' text format (exposition format 0.0.4). Written here and not by a client library: our counts are
 * plain fields that loops add to, read when somebody asks; a library would hold each of them a second time.
 */

export type Labels = Readonly<Record<string, string | number>>
/** A value of its own, or one per set of labels. Labels come from closed sets and partitions, never from traffic. */
export type Values = number | Iterable<readonly [labels: Labels, value: number]>

export interface MetricFamily {
  /** `klartext_<service>_<things>_<unit>`, counters with `_total`. */
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly samples: readonly Sample[]
}

interface Sample {
  /** Behind the family's name: `_bucket`, `_sum`, `_count`, or nothing. */
  readonly suffix: string
  readonly labels: Labels
  readonly value: number
}

function samplesOf(values: Values): Sample[] {
  if (typeof values === 'number') return [{ suffix: '', labels: {}, value: values }]
  return Array.from(values, ([labels, value]) => ({ suffix: '', labels, value }))
}

export function counter(name: string, help: string, values: Values): MetricFamily {
  return { name, help, type: 'counter', samples: samplesOf(values) }
}

export function gauge(name: string, help: string, values: Values): MetricFamily {
  return { name, help, type: 'gauge', samples: samplesOf(values) }
}

/** One value per key of a closed record, under the label `label`. */
export function* byLabel(
  label: string,
  record: Readonly<Record<string, number>>,
): Generator<readonly [Labels, number]> {
  for (const [name, value] of Object.entries(record)) yield [{ [label]: name }, value]
}

/** Counts of values up to fixed bounds. */
export class Histogram {
  readonly #bounds: readonly number[]
  readonly #counts: number[]
  #sum = 0
  #count = 0

  /** `bounds` rise; one more bucket takes what is beyond the last. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = bounds.map(() => 0)
  }

  observe(value: number): void {
    this.#sum += value
    this.#count += 1
    for (let i = 0; i < this.#bounds.length; i++) {
      if (value > this.#bounds[i]) continue
      this.#counts[i] += 1
      return
    }
  }

  get count(): number {
    return this.#count
  }

  get sum(): number {
    return this.#sum
  }

  family(name: string, help: string): MetricFamily {
    const samples: Sample[] = []
    let sum = 0
    for (const [i, bound] of this.#bounds.entries()) {
      sum += this.#counts[i]
      samples.push({ suffix: '_bucket', labels: { le: bound }, value: sum })
    }
    samples.push({ suffix: '_bucket', labels: { le: '+Inf' }, value: this.#count })
    samples.push({ suffix: '_sum', labels: {}, value: this.#sum })
    samples.push({ suffix: '_count', labels: {}, value: this.#count })
    return { name, help, type: 'histogram', samples }
  }
}

export const TEXT_FORMAT = 'text/plain; version=0.0.4; charset=utf-8'

export function metricsText(families: readonly MetricFamily[]): string {
  let text = ''
  for (const { name, help, type, samples } of families) {
    text += `# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}\n# TYPE ${name} ${type}\n`
    for (const { suffix, labels, value } of samples)
      text += `${name}${suffix}${labelText(labels)} ${numberText(value)}\n`
  }
  return text
}

function labelText(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => {
    const escaped = String(value).replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')
    return `${name}="${escaped}"`
  })
  return parts.length === 0 ? '' : `{${parts.join(',')}}`
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value)
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'
}
